#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/failing_new.h"
#include "engine/engine.h"
#include "engine/fake_runner.h"
#include "sampling/test_constraints.h"

namespace openllm::engine {
namespace {

constexpr int kVocab = 61;

Request make_request(const std::string& id, int n_prompt, int max_new, int n_choices = 1) {
  Request r;
  r.id = id;
  for (int i = 0; i < n_prompt; ++i) r.prompt_ids.push_back((i * 7 + n_prompt) % kVocab);
  r.max_new_tokens = max_new;
  r.n_choices = n_choices;
  return r;
}

/// Some of everything: choices that share a prompt, prompt logprobs, logits, nothing to draw, one
/// that is cancelled, one whose deadline passes, one that preempts.
std::vector<Request> make_requests(const FakeClock& clock) {
  std::vector<Request> all;
  all.push_back(make_request("a-name-too-long-for-the-string-itself", 9, 6, 3));
  all.back().constraints = {[](const sampling::ConstraintContext& context) {
    return std::make_unique<sampling::HashConstraint>(static_cast<std::uint64_t>(context.choice));
  }};
  all.push_back(make_request("logprobs", 21, 3));
  all.back().n_prompt_logprobs = 2;
  all.back().n_logprobs = 2;
  all.push_back(make_request("logits", 7, 0, 2));
  all.back().prompt_logits = true;
  all.push_back(make_request("cancelled", 5, 30));
  all.push_back(make_request("late", 5, 30));
  all.back().deadline = clock.time + std::chrono::seconds(1);
  all.push_back(make_request("urgent", 30, 4));
  all.back().priority = -1;
  return all;
}

class SafeSink final : public RecordingSink {
 public:
  using RecordingSink::RecordingSink;
  void on_prompt_logprobs(int first, std::vector<TokenEvent> events) noexcept override {
    const base::PauseFailingNew pause;
    RecordingSink::on_prompt_logprobs(first, std::move(events));
  }
  void on_token(int choice, TokenEvent event) noexcept override {
    const base::PauseFailingNew pause;
    RecordingSink::on_token(choice, std::move(event));
  }
  void on_end(int choice, FinishReason reason, int cached,
              const base::Failure& failure) noexcept override {
    const base::PauseFailingNew pause;
    RecordingSink::on_end(choice, reason, cached, failure);
  }
};

struct Round {
  Round() : options(small_options(4, 24, 6, 24)), runner(kVocab, options) {
    engine.emplace(runner, options, clock, false);
    for (Request& r : make_requests(clock)) {
      sinks.push_back(std::make_shared<SafeSink>(r.n_choices));
      r.sink = sinks.back();
      requests.push_back(std::move(r));
    }
    taken.resize(requests.size());
  }

  void submit(std::size_t i) {
    Request copy;
    try {
      copy = requests[i];
      engine->submit(std::move(copy));
      taken[i] = true;
    } catch (const std::bad_alloc&) {
    }
  }

  /// All of it, while allocation number `n` fails. False when there were not that many.
  bool run(long n) {
    const base::FailingNew failing(n);
    for (std::size_t i = 0; i + 1 < requests.size(); ++i) submit(i);
    for (int step = 0; step < 4; ++step) engine->step();
    try {
      engine->cancel("cancelled");
    } catch (const std::bad_alloc&) {
    }
    clock.time += std::chrono::seconds(2);
    submit(requests.size() - 1);
    for (int step = 0; step < 500 && engine->step(); ++step) {
    }
    return failing.has_failed();
  }

  EngineOptions options;
  FakeClock clock;
  FakeRunner runner;
  std::optional<Engine> engine;
  std::vector<Request> requests;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  std::vector<bool> taken;
};

/// What was taken ended once and right or with the reason; what was not is not heard of.
void expect_all_told(Round& round) {
  for (std::size_t i = 0; i < round.requests.size(); ++i) {
    const RecordingSink& sink = *round.sinks[i];
    EXPECT_TRUE(sink.in_order) << round.requests[i].id;
    for (std::size_t c = 0; c < sink.n_ends.size(); ++c) {
      ASSERT_EQ(sink.n_ends[c], round.taken[i] ? 1 : 0) << round.requests[i].id;
      if (!round.taken[i]) continue;
      if (sink.reasons[c] == FinishReason::kError) {
        EXPECT_EQ(sink.codes[c], ErrorCode::kResourceExhausted) << sink.errors[c];
        EXPECT_EQ(sink.errors[c], "out of memory");
      } else if (sink.reasons[c] == FinishReason::kLength) {
        const Expected expected =
            expected_answer(round.requests[i], static_cast<int>(c), kVocab, round.options);
        EXPECT_EQ(sink.tokens[c], expected.tokens) << round.requests[i].id;
      }
    }
  }
  const EngineStats stats = round.engine->stats();
  EXPECT_EQ(stats.n_blocks_free, stats.n_blocks_total);
  EXPECT_EQ(stats.n_waiting, 0);
  EXPECT_EQ(stats.n_running, 0);
}

/// The engine works on: the same requests, under the same names, get their answers.
void expect_works_on(Round& round) {
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (Request r : round.requests) {
    r.deadline.reset();
    sinks.push_back(std::make_shared<RecordingSink>(r.n_choices));
    r.sink = sinks.back();
    round.engine->submit(std::move(r));
  }
  for (int step = 0; step < 500 && round.engine->step(); ++step) {
  }
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    for (std::size_t c = 0; c < sinks[i]->tokens.size(); ++c) {
      const Expected expected =
          expected_answer(round.requests[i], static_cast<int>(c), kVocab, round.options);
      EXPECT_EQ(sinks[i]->tokens[c], expected.tokens) << round.requests[i].id;
    }
  }
}

TEST(EngineOutOfMemory, EveryAllocationMayFailOnce) {
  long n = 0;
  bool failed = true;
  while (failed && !testing::Test::HasFailure()) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    Round round;
    failed = round.run(n);
    expect_all_told(round);
    if (n % 7 == 0) expect_works_on(round);
    ++n;
  }
  EXPECT_GT(n, 500) << "the allocations were not counted";
}

}  // namespace
}  // namespace openllm::engine
