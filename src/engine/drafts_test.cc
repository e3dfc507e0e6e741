// Guesses ahead: what an answer is with them and without.

#include "engine/drafts.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/test_bench.h"
#include "sampling/test_constraints.h"

namespace openllm::engine {
namespace {

using test::kVocab;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kPeriod = 5;

EngineOptions options_with_drafts(int max_drafts, int full_blocks = 64, int window_blocks = 64) {
  EngineOptions o = small_options(4, full_blocks, 6, window_blocks);
  o.max_draft_tokens = max_drafts;
  o.max_output_rows = 16;
  return o;
}

struct DraftBench : test::Bench {
  explicit DraftBench(const EngineOptions& o) : Bench(o) {
    runner.clock = &clock;
    runner.period = kPeriod;
  }
};

Request periodic(const std::string& id, int n_prompt, int max_new) {
  Request r = test::make_request(id, n_prompt, max_new);
  for (std::size_t i = kPeriod; i < r.prompt_ids.size(); ++i)
    r.prompt_ids[i] = r.prompt_ids[i - kPeriod];
  return r;
}

std::vector<std::int32_t> proposed(Ngrams& ngrams, const std::vector<std::int32_t>& tokens, int n) {
  std::vector<std::int32_t> out;
  ngrams.propose(tokens, n, out);
  return out;
}

TEST(Ngrams, GoOnAsTheLastTime) {
  Ngrams ngrams;
  std::vector<std::int32_t> tokens = {1, 2, 3, 4, 5, 6};
  EXPECT_THAT(proposed(ngrams, tokens, 4), IsEmpty());
  tokens.insert(tokens.end(), {1, 2, 3});
  EXPECT_THAT(proposed(ngrams, tokens, 2), ElementsAre(4, 5));
  EXPECT_THAT(proposed(ngrams, tokens, 0), IsEmpty());
  tokens.insert(tokens.end(), {9, 1, 2, 3});
  EXPECT_THAT(proposed(ngrams, tokens, 3), ElementsAre(9, 1, 2)) << "the later one counts";
  tokens.push_back(7);
  EXPECT_THAT(proposed(ngrams, tokens, 3), IsEmpty());
}

TEST(Ngrams, GoOnWithARepetitionBeyondTheEnd) {
  Ngrams ngrams;
  EXPECT_THAT(proposed(ngrams, {8, 1, 2, 1, 2, 1, 2}, 5), ElementsAre(1, 2, 1, 2, 1));
  EXPECT_THAT(proposed(ngrams, {}, 5), IsEmpty());
  EXPECT_THAT(proposed(ngrams, {8, 1, 2}, 5), IsEmpty());
}

// Against a search from the end, while the text grows in pieces of any size.
TEST(Ngrams, AreThoseOfASearch) {
  std::uint64_t dice = 7;
  std::vector<std::int32_t> tokens;
  Ngrams ngrams;
  int n_found = 0;
  for (int round = 0; round < 300; ++round) {
    const int n_more = 1 + static_cast<int>(base::mix64(++dice) % 9);
    for (int i = 0; i < n_more; ++i)
      tokens.push_back(static_cast<std::int32_t>(base::mix64(++dice) % 12));
    std::vector<std::int32_t> expected;
    for (std::size_t end = tokens.size() - 1; tokens.size() > 3 && end >= 3; --end) {
      if (!std::equal(tokens.end() - 3, tokens.end(),
                      tokens.begin() + static_cast<std::ptrdiff_t>(end) - 3))
        continue;
      expected.push_back(tokens[end]);
      ++n_found;
      break;
    }
    ASSERT_EQ(proposed(ngrams, tokens, 1), expected) << round;
  }
  EXPECT_GT(n_found, 50);
}

TEST(Drafts, AreAsManyAsTheyAreWorth) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 40; ++i) tokens.push_back(i % 4);
  Drafts drafts;
  const DraftBudget cheap{100, 10e-3, 0.1e-3};
  const DraftBudget dear{100, 1e-3, 0.9e-3};
  const std::size_t first = drafts.propose(tokens, 16, cheap).size();
  EXPECT_GT(first, 2U);
  EXPECT_LT(first, 16U);
  EXPECT_EQ(drafts.propose(tokens, 16, {2, 10e-3, 0.1e-3}).size(), 2U);
  EXPECT_EQ(drafts.propose(tokens, 1, cheap).size(), 1U);
  EXPECT_EQ(drafts.propose(tokens, 16, dear).size(), 0U);
  for (int i = 0; i < 20; ++i) {
    drafts.propose(tokens, 16, cheap);
    drafts.learn(drafts.n());
  }
  EXPECT_EQ(drafts.propose(tokens, 16, cheap).size(), 16U) << "always right";
  // Always wrong, after having always been right: rarely tries again.
  int n_rows = 0;
  int n_tries = 0;
  for (int i = 0; i < 500; ++i) {
    if (drafts.propose(tokens, 16, {100, 10e-3, 2e-3}).empty()) continue;
    n_rows += drafts.n();
    ++n_tries;
    drafts.learn(0);
  }
  EXPECT_GT(n_tries, 5);
  EXPECT_LT(n_tries, 80);
  EXPECT_LT(n_rows, 160);
}

struct Case {
  const char* name;
  std::function<void(Request&)> change;
};

std::vector<Case> cases() {
  return {
      {"greedy", [](Request& r) { r.sampling.temperature = 0.0F; }},
      {"drawn", [](Request& r) { r.sampling.seed = 11; }},
      {"cold", [](Request& r) { r.sampling.temperature = 0.3F; }},
      {"penalties",
       [](Request& r) {
         r.sampling.temperature = 0.0F;
         r.sampling.frequency_penalty = 0.4F;
         r.sampling.repetition_penalty = 1.1F;
       }},
      {"constrained",
       [](Request& r) {
         r.sampling.temperature = 0.0F;
         r.constraints.push_back([](const sampling::ConstraintContext& context) {
           return std::make_unique<sampling::HashConstraint>(
               static_cast<std::uint64_t>(context.choice));
         });
       }},
      {"stops",
       [](Request& r) {
         r.sampling.temperature = 0.4F;
         r.stop_token_ids = {3, 17, 24, 31, 40, 41, 42};
       }},
      {"choices",
       [](Request& r) {
         r.n_choices = 3;
         r.sampling.temperature = 0.5F;
       }},
  };
}

// Whatever is guessed, tokens, their logprobs and the reasons of ends are those of one token after
// the other; and it takes fewer steps.
TEST(Speculation, ChangesNoAnswer) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Request request = periodic("a", 23, 60);
    c.change(request);
    std::vector<std::vector<std::int32_t>> tokens[2];
    std::vector<std::vector<float>> logprobs[2];
    std::vector<FinishReason> reasons[2];
    std::int64_t n_steps[2] = {};
    std::int64_t n_accepted = 0;
    for (const int drafts : {0, 7}) {
      DraftBench bench(options_with_drafts(drafts));
      Request warm = periodic("warm", 3, 4);  // so that costs are known
      const auto warm_sink = bench.submit(warm);
      bench.run_all();
      const std::int64_t before = bench.engine.stats().n_steps;
      Request r = request;
      const auto sink = bench.submit(r);
      bench.run_all();
      ASSERT_TRUE(sink->ended());
      EXPECT_TRUE(sink->in_order);
      const int i = drafts > 0 ? 1 : 0;
      tokens[i] = sink->tokens;
      logprobs[i] = sink->logprobs;
      reasons[i] = sink->reasons;
      n_steps[i] = bench.engine.stats().n_steps - before;
      n_accepted = bench.engine.stats().n_accepted_drafts;
      EXPECT_GE(bench.engine.stats().n_draft_tokens, n_accepted);
      if (drafts == 0) {
        EXPECT_EQ(bench.engine.stats().n_draft_tokens, 0);
      }
      for (int choice = 0; choice < r.n_choices && drafts > 0 && r.min_new_tokens == 0; ++choice) {
        const Expected expected = expected_answer(r, choice, kVocab, bench.options, kPeriod);
        EXPECT_EQ(sink->tokens[static_cast<std::size_t>(choice)], expected.tokens);
      }
    }
    EXPECT_EQ(tokens[0], tokens[1]);
    EXPECT_EQ(logprobs[0], logprobs[1]);
    EXPECT_EQ(reasons[0], reasons[1]);
    if (std::string(c.name) == "stops") continue;  // too short to tell
    EXPECT_GT(n_accepted, 0);
    EXPECT_LT(n_steps[1], n_steps[0]);
  }
}

// Many at once, few blocks: sequences are preempted in the middle of repetitions, take over
// prefixes that drafts filled, and share them.
TEST(Speculation, HoldsWhenBlocksAreFew) {
  for (const int n_blocks : {12, 20, 64}) {
    SCOPED_TRACE(n_blocks);
    DraftBench bench(options_with_drafts(5, n_blocks, n_blocks));
    std::vector<std::pair<Request, std::shared_ptr<RecordingSink>>> open;
    std::uint64_t dice = 3;
    for (int i = 0; i < 40; ++i) {
      const int n_prompt = 3 + static_cast<int>(base::mix64(++dice) % 20);
      const int max_new = 1 + static_cast<int>(base::mix64(++dice) % 24);
      Request r = periodic("r" + std::to_string(i), n_prompt, max_new);
      r.sampling.temperature = base::mix64(++dice) % 2 == 0 ? 0.0F : 0.4F;
      r.sampling.seed = static_cast<std::uint64_t>(i);
      const auto sink = bench.submit(r);
      open.emplace_back(std::move(r), sink);
      for (int n = 0; n < 3; ++n) bench.engine.step();
    }
    bench.run_all();
    for (const auto& [request, sink] : open) {
      ASSERT_TRUE(sink->ended());
      const Expected expected = expected_answer(request, 0, kVocab, bench.options, kPeriod);
      EXPECT_EQ(sink->tokens[0], expected.tokens) << request.id;
      EXPECT_EQ(sink->reasons[0], expected.reason) << request.id;
    }
    EXPECT_GT(bench.engine.stats().n_accepted_drafts, 0);
    if (n_blocks == 12) {
      EXPECT_GT(bench.engine.stats().n_preemptions, 0);
    }
  }
}

TEST(Speculation, IsNotForRunnersThatKeepWhatTheyComputed) {
  EngineOptions options = options_with_drafts(5);
  options.prefix_caching = false;
  FakeClock clock;
  FakeRunner runner(kVocab, options);
  runner.keeps_by_id = true;
  runner.clock = &clock;
  runner.period = kPeriod;
  Engine engine(runner, options, clock, false);
  Request r = periodic("a", 23, 40);
  r.sampling.temperature = 0.0F;
  const auto sink = std::make_shared<RecordingSink>(1);
  r.sink = sink;
  engine.submit(r);
  while (engine.step()) {
  }
  EXPECT_TRUE(sink->ended());
  EXPECT_EQ(engine.stats().n_draft_tokens, 0);
}

}  // namespace
}  // namespace openllm::engine
