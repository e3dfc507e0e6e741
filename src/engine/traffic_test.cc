#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "engine/fake_runner.h"
#include "sampling/test_constraints.h"

namespace openllm::engine {
namespace {

constexpr int kVocab = 61;

struct Ticket {
  Request request;
  std::shared_ptr<RecordingSink> sink;
  bool disturbed = false;  // cancelled, stopped or given a deadline
};

class Traffic {
 public:
  Traffic(std::uint32_t seed, EngineOptions options, int fail_every)
      : random_(seed),
        options_(std::move(options)),
        runner_(kVocab, options_),
        engine_(runner_, options_, clock_, false) {
    runner_.fail_every = fail_every;
    for (auto& prefix : prefixes_) {
      for (int i = 0; i < 40; ++i) prefix.push_back(pick(0, kVocab - 1));
    }
  }

  void run(int n_requests) {
    int next = 0;
    while (next < n_requests || engine_.stats().n_finished < n_requests) {
      const int burst = pick(0, 3) == 0 ? pick(0, 12) : 0;
      for (int i = 0; i < burst && next < n_requests; ++i) submit(next++);
      if (!tickets_.empty() && pick(0, 9) == 0) disturb();
      clock_.time += std::chrono::milliseconds(pick(0, 2));
      const int before = runner_.n_calls;
      engine_.step();
      stalls_ = runner_.n_calls == before ? stalls_ + 1 : 0;
      ASSERT_LT(stalls_, 2000) << "no progress";
      ASSERT_LT(runner_.n_calls, n_requests * 400) << "too many steps";
    }
    check_all();
  }

  EngineStats stats() const { return engine_.stats(); }
  std::size_t most_sequences() const { return runner_.most_sequences; }
  int n_late = 0;

 private:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  Request make(int number) {
    Request r;
    r.id = std::to_string(number);
    const int shared = pick(0, 30);
    const auto& prefix = prefixes_[static_cast<std::size_t>(pick(0, 2))];
    r.prompt_ids.assign(prefix.begin(), prefix.begin() + shared);
    for (int i = pick(1, 12); i > 0; --i) r.prompt_ids.push_back(pick(0, kVocab - 1));
    r.n_choices = pick(0, 4) == 0 ? pick(2, 4) : 1;
    r.max_new_tokens = pick(0, 24);
    r.min_new_tokens = pick(0, 4);
    if (pick(0, 1) == 0) r.stop_token_ids = {pick(0, kVocab - 1), pick(0, kVocab - 1)};
    r.sampling.temperature = pick(0, 3) == 0 ? 0.0F : 0.8F;
    r.sampling.top_p = pick(0, 1) == 0 ? 1.0F : 0.9F;
    r.sampling.top_k = pick(0, 1) == 0 ? 0 : 10;
    r.sampling.repetition_penalty = pick(0, 2) == 0 ? 1.3F : 1.0F;
    r.sampling.presence_penalty = pick(0, 2) == 0 ? 0.5F : 0.0F;
    r.sampling.seed = static_cast<std::uint64_t>(number);
    r.priority = pick(0, 5) == 0 ? pick(-1, 2) : 0;
    r.adapter = pick(0, 5) == 0 ? 1 : 0;
    r.n_logprobs = pick(-1, 3);
    r.n_prompt_logprobs = pick(0, 6) == 0 ? pick(0, 2) : -1;
    r.prompt_logits = pick(0, 9) == 0;
    if (pick(0, 3) == 0) {
      r.constraints = {[number](const sampling::ConstraintContext& context) {
        return std::make_unique<sampling::HashConstraint>(
            static_cast<std::uint64_t>(number * 100 + context.choice));
      }};
    }
    if (pick(0, 11) == 0) r.deadline = clock_.time + std::chrono::milliseconds(pick(0, 60));
    return r;
  }

  void submit(int number) {
    Ticket t{make(number), nullptr, false};
    t.sink = std::make_shared<RecordingSink>(t.request.n_choices);
    t.request.sink = t.sink;
    t.disturbed = t.request.deadline.has_value();
    if (engine_.stats().n_running > 0) ++n_late;
    engine_.submit(t.request);
    tickets_.push_back(std::move(t));
  }

  void disturb() {
    const auto from = tickets_.size() > 30 ? tickets_.size() - 30 : 0;
    Ticket& t = tickets_[from + static_cast<std::size_t>(
                                    pick(0, static_cast<int>(tickets_.size() - from) - 1))];
    t.disturbed = true;
    const int choice = pick(-1, t.request.n_choices - 1);
    if (pick(0, 2) == 0 && choice >= 0) {
      engine_.stop_choice(t.request.id, choice);
    } else {
      engine_.cancel(t.request.id, choice);
    }
  }

  void check_all() {
    for (const Ticket& t : tickets_) {
      SCOPED_TRACE(t.request.id);
      ASSERT_TRUE(t.sink->in_order);
      for (int c = 0; c < t.request.n_choices; ++c) check_choice(t, c);
      if (!t.disturbed && runner_.fail_every == 0) check_prompt(t);
    }
    const EngineStats s = engine_.stats();
    EXPECT_EQ(s.n_blocks_free, s.n_blocks_total);
    EXPECT_EQ(s.n_running, 0);
    EXPECT_EQ(s.n_waiting, 0);
  }

  void check_choice(const Ticket& t, int choice) const {
    const auto c = static_cast<std::size_t>(choice);
    ASSERT_EQ(t.sink->n_ends[c], 1);
    const Expected want = expected_answer(t.request, choice, kVocab, options_);
    const auto& got = t.sink->tokens[c];
    const FinishReason reason = t.sink->reasons[c];
    ASSERT_LE(got.size(), want.tokens.size());
    ASSERT_TRUE(std::equal(got.begin(), got.end(), want.tokens.begin()));
    if (reason == FinishReason::kError) {
      ASSERT_GT(runner_.fail_every, 0) << t.sink->errors[c];
      ASSERT_EQ(t.sink->errors[c], "fake: step failed");
    } else if (!t.disturbed) {
      ASSERT_EQ(got.size(), want.tokens.size());
      ASSERT_EQ(reason, want.reason);
    }
  }

  void check_prompt(const Ticket& t) const {
    const Request& r = t.request;
    const std::size_t n = r.prompt_ids.size();
    ASSERT_EQ(t.sink->prompt.size(), r.n_prompt_logprobs >= 0 ? n - 1 : 0);
    ASSERT_EQ(t.sink->n_logit_rows, r.prompt_logits ? static_cast<int>(n) : 0);
    sampling::Sampler sampler(kVocab);
    std::vector<float> logits(kVocab);
    for (std::size_t i = 0; i < t.sink->prompt.size(); ++i) {
      const std::span<const std::int32_t> past(r.prompt_ids.data(), i + 1);
      fake_logits(past, static_cast<std::size_t>(options_.kv_groups[1].window), r.adapter, logits);
      const auto want = sampler.score(logits, r.prompt_ids[i + 1], r.n_prompt_logprobs);
      ASSERT_EQ(t.sink->prompt[i].token, want.token);
      ASSERT_EQ(t.sink->prompt[i].logprob, want.logprob);
      ASSERT_EQ(t.sink->prompt[i].top.size(), want.top.size());
    }
  }

  std::mt19937 random_;
  EngineOptions options_;
  FakeClock clock_;
  FakeRunner runner_;
  Engine engine_;
  std::vector<std::int32_t> prefixes_[3];
  std::vector<Ticket> tickets_;
  int stalls_ = 0;
};

TEST(EngineTraffic, EveryRequestGetsWhatItGetsAlone) {
  EngineStats sum;
  std::size_t most = 0;
  int n_late = 0;
  std::mt19937 random(7);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (std::uint32_t round = 0; round < 24; ++round) {
    SCOPED_TRACE(round);
    const int block_sizes[] = {1, 2, 4, 8};
    EngineOptions o = small_options(block_sizes[round % 4]);
    o.max_model_len = 72;
    const int one =
        (o.max_model_len + o.block_size - 1) / o.block_size;  // blocks of the longest sequence
    const int windows[] = {1, 3, 6, 20};
    o.kv_groups[1].window = windows[pick(0, 3)];
    o.blocks_per_group = {one + pick(0, 2 * one), one + pick(0, 2 * one)};
    if (round % 3 == 0)
      o.blocks_per_group[1] =
          (o.kv_groups[1].window + o.block_size - 2) / o.block_size + 1 + pick(0, 3);
    o.max_step_tokens = pick(1, 40);
    o.max_sequences = pick(1, 12);
    o.max_output_rows = pick(1, 12);
    o.prefix_caching = round % 5 != 4;
    Traffic traffic(round, o, round % 4 == 3 ? 37 : 0);
    traffic.run(200);
    if (HasFatalFailure()) return;
    const EngineStats s = traffic.stats();
    sum.n_preemptions += s.n_preemptions;
    sum.n_cached_tokens += s.n_cached_tokens;
    sum.n_split_prefills += s.n_split_prefills;
    sum.n_step_sequences += s.n_step_sequences;
    sum.n_steps += s.n_steps;
    most = std::max(most, traffic.most_sequences());
    n_late += traffic.n_late;
  }
  // The cases that the test is about did happen.
  RecordProperty("preemptions", static_cast<int>(sum.n_preemptions));
  RecordProperty("cached_tokens", static_cast<int>(sum.n_cached_tokens));
  RecordProperty("split_prefills", static_cast<int>(sum.n_split_prefills));
  RecordProperty("late_joiners", n_late);
  EXPECT_GT(sum.n_preemptions, 100);
  EXPECT_GT(sum.n_cached_tokens, 5000);
  EXPECT_GT(sum.n_split_prefills, 300);
  EXPECT_GT(n_late, 500);
  EXPECT_GT(most, 7U);
  EXPECT_GT(2 * sum.n_step_sequences,
            3 * sum.n_steps);  // though some rounds allow one sequence only
}

/// Counts ends and lets a thread wait for them.
class WaitingSink final : public EventSink {
 public:
  void on_prompt_logprobs(int, std::vector<TokenEvent>) noexcept override {}
  void on_token(int, TokenEvent event) noexcept override {
    const std::lock_guard lock(mutex_);
    tokens_.push_back(event.token);
  }
  void on_end(int, FinishReason reason, int, const base::Failure&) noexcept override {
    const std::lock_guard lock(mutex_);
    reason_ = reason;
    ++n_ends_;
    ended_.notify_all();
  }
  FinishReason wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return n_ends_ > 0; });
    EXPECT_EQ(n_ends_, 1);
    return reason_;
  }
  std::vector<std::int32_t> tokens() {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<std::int32_t> tokens_;
  FinishReason reason_ = FinishReason::kError;
  int n_ends_ = 0;
};

TEST(EngineThreads, ManyThreadsSubmitAndCancel) {
  const EngineOptions o = small_options(4, 48, 6, 48);
  FakeRunner runner(kVocab, o);
  const base::SteadyClock clock;
  Engine engine(runner, o, clock);
  std::atomic<int> n_whole{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        Request r;
        r.id = std::to_string(t) + "." + std::to_string(i);
        for (int k = 0; k < 3 + (i * 7 + t) % 30; ++k) r.prompt_ids.push_back((k * 5 + t) % kVocab);
        r.max_new_tokens = 1 + i % 17;
        r.sampling.seed = static_cast<std::uint64_t>(i);
        auto sink = std::make_shared<WaitingSink>();
        r.sink = sink;
        engine.submit(r);
        if (i % 4 == 1) engine.cancel(r.id);
        (void)engine.stats();
        if (sink->wait() != FinishReason::kLength) continue;
        EXPECT_EQ(sink->tokens(), expected_answer(r, 0, kVocab, o).tokens);
        ++n_whole;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(n_whole, 6 * 30);
  EXPECT_EQ(engine.stats().n_blocks_free, engine.stats().n_blocks_total);
}

TEST(EngineThreads, DestructionEndsEverything) {
  const EngineOptions o = small_options();
  FakeRunner runner(kVocab, o);
  const base::SteadyClock clock;
  std::vector<std::shared_ptr<WaitingSink>> sinks;
  {
    Engine engine(runner, o, clock);
    for (int i = 0; i < 30; ++i) {
      Request r;
      r.id = std::to_string(i);
      r.prompt_ids = {1, 2, 3};
      r.max_new_tokens = 100;
      sinks.push_back(std::make_shared<WaitingSink>());
      r.sink = sinks.back();
      engine.submit(r);
    }
  }
  for (const auto& sink : sinks) {
    const FinishReason reason = sink->wait();
    EXPECT_TRUE(reason == FinishReason::kCancelled || reason == FinishReason::kLength);
  }
}

}  // namespace
}  // namespace openllm::engine
