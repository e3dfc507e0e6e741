// A second model that guesses: whatever it says, answers are what they are without it.

#include "engine/draft_model.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/test_bench.h"
#include "sampling/test_constraints.h"

namespace openllm::engine {
namespace {

using test::kVocab;
using test::make_request;

/// Guesses as the fake model draws, and surely; or wrongly, or not at all.
class FakeDrafter final : public StepRunner {
 public:
  FakeDrafter(int vocab, const EngineOptions& options, FakeClock& clock)
      : inner_(vocab, options), clock_(clock) {}
  int vocab_size() const noexcept override { return inner_.vocab_size(); }
  step::Outputs run(const step::Step& step) override {
    ++n_calls;
    const auto n_rows = static_cast<std::int64_t>(step.token_ids.size());
    most_rows = std::max(most_rows, n_rows);
    clock_.time += std::chrono::microseconds(fixed_us + row_us * n_rows);
    const step::Outputs results = inner_.run(step);
    if (fails_at > 0 && n_calls >= fails_at) base::fail(ErrorCode::kInternal, "fake: no guess");
    const auto n_vocab = static_cast<std::size_t>(vocab_size());
    logits_.assign(results.logits, results.logits + step.logit_rows.size() * n_vocab);
    for (std::size_t i = 0; i < step.logit_rows.size(); ++i) {
      const auto row = logits_.begin() + static_cast<std::ptrdiff_t>(i * n_vocab);
      for (std::size_t v = 0; v < n_vocab; ++v) row[static_cast<std::ptrdiff_t>(v)] *= scale;
      const bool is_wrong = wrong_every > 0 && ++n_guesses_ % wrong_every == 0;
      if (is_wrong) std::rotate(row, row + 1, row + static_cast<std::ptrdiff_t>(n_vocab));
      if (is_broken) *row = std::nanf("");
    }
    return {.logits = logits_.data()};
  }
  void forget(std::int64_t id) noexcept override { inner_.forget(id); }
  std::size_t n_remembered() const noexcept { return inner_.n_remembered(); }

  int n_calls = 0;
  int fails_at = 0;     ///< That call and all later ones; 0: none.
  int wrong_every = 0;  ///< 1: always.
  bool is_broken = false;
  float scale = 20.0F;  ///< Of its logits: how sure it is.
  std::int64_t fixed_us = 800;
  std::int64_t row_us = 20;
  std::int64_t most_rows = 0;

 private:
  FakeRunner inner_;
  FakeClock& clock_;
  std::vector<float> logits_;
  int n_guesses_ = 0;
};

struct BenchOptions {
  int n_blocks = 64;  ///< Of the engine.
  int n_draft_blocks = 64;
  int draft_vocab = kVocab;
  int max_drafts = 7;
  bool prefix_caching = true;
  bool has_draft = true;
  int max_sequences = 8;
  int max_output_rows = 32;
  int max_model_len = 128;
};

struct DraftBench {
  explicit DraftBench(const BenchOptions& o = {})
      : options(engine_options(o)),
        draft_options(options_of_draft(o)),
        drafter(o.draft_vocab, draft_options, clock),
        runner(kVocab, options),
        engine(runner, with_draft(o), clock, false) {
    runner.clock = &clock;
  }

  std::shared_ptr<RecordingSink> submit(Request& r) {
    auto sink = std::make_shared<RecordingSink>(r.n_choices);
    r.sink = sink;
    engine.submit(r);
    return sink;
  }
  void run_all() {
    for (int i = 0; i < 5000 && engine.step(); ++i) {
    }
    EXPECT_EQ(engine.stats().n_blocks_free, engine.stats().n_blocks_total);
    EXPECT_EQ(runner.n_remembered(), 0U);
  }
  /// So that costs are known.
  void warm_up() {
    Request r = make_request("warm", 3, 4);
    submit(r);
    run_all();
  }

  static EngineOptions engine_options(const BenchOptions& o) {
    EngineOptions options = small_options(4, o.n_blocks, 6, o.n_blocks);
    options.max_draft_tokens = o.max_drafts;
    options.max_output_rows = o.max_output_rows;
    options.max_sequences = o.max_sequences;
    options.max_step_tokens = std::max(16, o.max_output_rows);
    options.max_model_len = o.max_model_len;
    options.prefix_caching = o.prefix_caching;
    return options;
  }
  static EngineOptions options_of_draft(const BenchOptions& o) {
    EngineOptions options = engine_options(o);
    options.blocks_per_group = {o.n_draft_blocks, o.n_draft_blocks};
    return options;
  }
  EngineOptions with_draft(const BenchOptions& o) {
    EngineOptions all = options;
    if (!o.has_draft) return all;
    all.draft_model = {.runner = &drafter,
                       .max_step_tokens = draft_options.max_step_tokens,
                       .max_sequences = draft_options.max_sequences,
                       .max_output_rows = draft_options.max_output_rows,
                       .max_model_len = draft_options.max_model_len,
                       .kv_groups = draft_options.kv_groups,
                       .blocks_per_group = draft_options.blocks_per_group};
    return all;
  }

  FakeClock clock;
  EngineOptions options;
  EngineOptions draft_options;
  FakeDrafter drafter;
  FakeRunner runner;
  Engine engine;
};

Request greedy(const std::string& id, int n_prompt, int max_new) {
  Request r = make_request(id, n_prompt, max_new);
  r.sampling.temperature = 0.0F;
  return r;
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
         r.sampling.temperature = 0.0F;
         r.stop_token_ids = {3, 17, 24};
       }},
      {"choices",
       [](Request& r) {
         r.n_choices = 3;
         r.sampling.temperature = 0.5F;
       }},
      {"adapter",
       [](Request& r) {
         r.sampling.temperature = 0.0F;
         r.adapter = 2;
       }},
  };
}

struct Drafter {
  const char* name;
  std::function<void(FakeDrafter&)> change;
};

std::vector<Drafter> drafters() {
  return {{"oracle", [](FakeDrafter&) {}},
          {"half", [](FakeDrafter& d) { d.wrong_every = 2; }},
          {"third", [](FakeDrafter& d) { d.wrong_every = 3; }},
          {"wrong", [](FakeDrafter& d) { d.wrong_every = 1; }},
          {"fails", [](FakeDrafter& d) { d.fails_at = 9; }},
          {"broken", [](FakeDrafter& d) { d.is_broken = true; }}};
}

void expect_answers(const Request& r, const RecordingSink& sink, const EngineOptions& options) {
  ASSERT_TRUE(sink.ended());
  EXPECT_TRUE(sink.in_order);
  for (int choice = 0; choice < r.n_choices; ++choice) {
    const Expected expected = expected_answer(r, choice, kVocab, options);
    EXPECT_EQ(sink.tokens[static_cast<std::size_t>(choice)], expected.tokens) << r.id;
    EXPECT_EQ(sink.reasons[static_cast<std::size_t>(choice)], expected.reason) << r.id;
  }
}

TEST(DraftModel, ChangesNoAnswer) {
  for (const Case& c : cases()) {
    for (const Drafter& drafter : drafters()) {
      SCOPED_TRACE(std::string(c.name) + ", " + drafter.name);
      Request request = make_request("a", 23, 60);
      c.change(request);
      std::vector<std::vector<float>> logprobs[2];
      for (const bool has_draft : {false, true}) {
        DraftBench bench({.has_draft = has_draft});
        drafter.change(bench.drafter);
        bench.warm_up();
        Request r = request;
        const auto sink = bench.submit(r);
        bench.run_all();
        expect_answers(r, *sink, bench.options);
        logprobs[has_draft ? 1 : 0] = sink->logprobs;
        const EngineStats stats = bench.engine.stats();
        EXPECT_EQ(stats.n_draft_model_rows > 0, has_draft);
        EXPECT_GE(stats.n_draft_tokens, stats.n_model_draft_tokens);
        EXPECT_GE(stats.n_model_draft_tokens, stats.n_accepted_model_drafts);
        EXPECT_GE(stats.n_accepted_drafts, stats.n_accepted_model_drafts);
      }
      EXPECT_EQ(logprobs[0], logprobs[1]);
    }
  }
}

TEST(DraftModel, BringsManyTokensWithEachStep) {
  DraftBench bench;
  bench.warm_up();
  const std::int64_t before = bench.engine.stats().n_steps;
  Request r = greedy("a", 23, 90);
  const auto sink = bench.submit(r);
  bench.run_all();
  expect_answers(r, *sink, bench.options);
  const EngineStats stats = bench.engine.stats();
  EXPECT_EQ(stats.n_accepted_model_drafts, stats.n_model_draft_tokens) << "it is always right";
  EXPECT_GT(stats.n_accepted_model_drafts, 60);
  EXPECT_LT(stats.n_steps - before, 30);
  EXPECT_GT(stats.draft_model_s, 0.0);
  EXPECT_EQ(stats.n_draft_model_failures, 0);
  EXPECT_EQ(bench.drafter.n_remembered(), 0U);
}

// Two models that agree draw alike, whatever the temperature: the random number is the same.
TEST(DraftModel, DrawsAsTheSequenceDoes) {
  DraftBench bench;
  bench.drafter.scale = 1.0F;
  bench.warm_up();
  Request r = make_request("a", 23, 90);
  r.sampling.temperature = 0.9F;
  r.sampling.top_k = 20;
  r.sampling.repetition_penalty = 1.2F;
  r.sampling.seed = 5;
  const auto sink = bench.submit(r);
  bench.run_all();
  expect_answers(r, *sink, bench.options);
  const EngineStats stats = bench.engine.stats();
  EXPECT_GT(stats.n_model_draft_tokens, 20);
  EXPECT_GT(stats.n_accepted_model_drafts * 10, stats.n_model_draft_tokens * 9);
}

double seconds_for(DraftBench& bench, int n_requests) {
  bench.warm_up();
  const auto start = bench.clock.time;
  for (int i = 0; i < n_requests; ++i) {
    Request r = greedy("r" + std::to_string(i), 5, 100);
    r.prompt_ids[0] = i % kVocab;
    bench.submit(r);
    bench.run_all();
  }
  return std::chrono::duration<double>(bench.clock.time - start).count();
}

TEST(DraftModel, CostsLittleWhenItIsWrong) {
  DraftBench without({.has_draft = false});
  const double plain = seconds_for(without, 20);
  DraftBench wrong;
  wrong.drafter.wrong_every = 1;
  const double slowed = seconds_for(wrong, 20);
  EXPECT_LT(slowed, 1.03 * plain);
  EXPECT_GT(wrong.engine.stats().n_model_draft_tokens, 0);
  DraftBench right;
  EXPECT_LT(seconds_for(right, 20), 0.5 * plain);
}

TEST(DraftModel, IsTriedAgainNowAndThen) {
  DraftBench bench;
  bench.drafter.wrong_every = 1;
  (void)seconds_for(bench, 20);
  const std::int64_t n_before = bench.engine.stats().n_accepted_model_drafts;
  bench.drafter.wrong_every = 0;
  for (int i = 0; i < 30; ++i) {
    Request r = greedy("s" + std::to_string(i), 5, 100);
    bench.submit(r);
    bench.run_all();
  }
  EXPECT_GT(bench.engine.stats().n_accepted_model_drafts, n_before + 500);
}

TEST(DraftModel, IsNotWorthItWhenAStepTakesAsLong) {
  DraftBench bench;
  bench.drafter.fixed_us = 20000;
  const double slow = seconds_for(bench, 20);
  DraftBench without({.has_draft = false});
  EXPECT_LT(slow, 1.03 * seconds_for(without, 20));
}

TEST(DraftModel, FailsOnce) {
  DraftBench bench;
  bench.drafter.fails_at = 5;
  bench.warm_up();
  for (int i = 0; i < 3; ++i) {
    Request r = greedy("r" + std::to_string(i), 9, 30);
    const auto sink = bench.submit(r);
    bench.run_all();
    expect_answers(r, *sink, bench.options);
  }
  EXPECT_EQ(bench.drafter.n_calls, 5);
  EXPECT_EQ(bench.engine.stats().n_draft_model_failures, 1);
}

TEST(DraftModel, ReadsNoTokensThatItDoesNotHave) {
  DraftBench bench({.draft_vocab = 40});
  bench.warm_up();
  int n_known = 0;
  for (int i = 0; i < 8; ++i) {
    Request r = greedy("r" + std::to_string(i), 6, 40);
    for (std::size_t p = 0; p < r.prompt_ids.size(); ++p)
      r.prompt_ids[p] = static_cast<std::int32_t>((p * 5 + static_cast<std::size_t>(i)) % 40);
    if (i % 2 == 0) r.prompt_ids[3] = 50;
    const auto sink = bench.submit(r);
    bench.run_all();  // the fake runner would fail for an id that it does not have
    expect_answers(r, *sink, bench.options);
    n_known += static_cast<int>(bench.engine.stats().n_model_draft_tokens);
  }
  EXPECT_GT(n_known, 0);
  EXPECT_EQ(bench.engine.stats().n_draft_model_failures, 0);
}

TEST(DraftModel, NeverGuessesWhatTheModelDoesNotHave) {
  DraftBench bench({.draft_vocab = 200});
  bench.warm_up();
  Request r = greedy("a", 6, 60);
  const auto sink = bench.submit(r);
  bench.run_all();
  expect_answers(r, *sink, bench.options);
  EXPECT_GT(bench.engine.stats().n_accepted_model_drafts, 0);
}

// A random crowd: some are preempted, some share prefixes, some lose the draft model's blocks.
TEST(DraftModel, HoldsWhenBlocksAreFew) {
  for (const int n_blocks : {12, 20, 64}) {
    for (const int n_draft_blocks : {6, 11, 64}) {
      for (const int wrong_every : {0, 2}) {
        SCOPED_TRACE(base::cat(n_blocks, " and ", n_draft_blocks));
        DraftBench bench({.n_blocks = n_blocks, .n_draft_blocks = n_draft_blocks});
        bench.drafter.wrong_every = wrong_every;
        std::vector<std::pair<Request, std::shared_ptr<RecordingSink>>> open;
        std::uint64_t dice = 3;
        for (int i = 0; i < 40; ++i) {
          const int n_prompt = 3 + static_cast<int>(base::mix64(++dice) % 20);
          const int max_new = 1 + static_cast<int>(base::mix64(++dice) % 24);
          Request r = make_request("r" + std::to_string(i), n_prompt, max_new);
          if (i % 3 == 0) r.prompt_ids[0] = i;
          r.sampling.temperature = base::mix64(++dice) % 2 == 0 ? 0.0F : 0.4F;
          r.sampling.seed = static_cast<std::uint64_t>(i);
          r.n_choices = i % 7 == 0 ? 2 : 1;
          const auto sink = bench.submit(r);
          open.emplace_back(std::move(r), sink);
          if (i % 11 == 5) bench.engine.cancel("r" + std::to_string(i - 3));
          for (int n = 0; n < 3; ++n) bench.engine.step();
        }
        bench.run_all();
        for (const auto& [request, sink] : open) {
          if (sink->reasons[0] != FinishReason::kCancelled)
            expect_answers(request, *sink, bench.options);
        }
        EXPECT_GT(bench.engine.stats().n_accepted_model_drafts, 0);
        EXPECT_EQ(bench.engine.stats().n_draft_model_failures, 0);
        EXPECT_EQ(bench.drafter.n_remembered(), 0U);
        if (n_blocks == 12) {
          EXPECT_GT(bench.engine.stats().n_preemptions, 0);
        }
      }
    }
  }
}

TEST(DraftModel, FindsPrefixesOfOthers) {
  for (const bool is_cached : {false, true}) {
    DraftBench bench({.prefix_caching = is_cached});
    bench.warm_up();
    std::int64_t n_rows[2] = {};
    for (int i = 0; i < 2; ++i) {
      const std::int64_t before = bench.engine.stats().n_draft_model_rows;
      Request r = greedy("r" + std::to_string(i), 60, 20);
      const auto sink = bench.submit(r);
      bench.run_all();
      expect_answers(r, *sink, bench.options);
      n_rows[i] = bench.engine.stats().n_draft_model_rows - before;
    }
    EXPECT_GE(n_rows[0], 60);
    EXPECT_EQ(n_rows[1] < n_rows[0] - 40, is_cached);
  }
}

// A long prompt is read in chunks: a stream beside it waits no longer than for a step and a half.
TEST(DraftModel, ReadsLongPromptsBesideStreams) {
  DraftBench bench({.n_blocks = 600,
                    .n_draft_blocks = 600,
                    .prefix_caching = false,
                    .max_output_rows = 256,
                    .max_model_len = 1200});
  bench.drafter.row_us = 500;
  bench.warm_up();
  Request stream = greedy("stream", 4, 600);
  bench.submit(stream);
  for (int i = 0; i < 30; ++i) bench.engine.step();
  const std::int64_t n_read = bench.engine.stats().n_draft_model_rows;
  Request r = greedy("long", 700, 400);
  const auto sink = bench.submit(r);
  while (bench.engine.stats().n_running < 2) bench.engine.step();
  double longest = 0;
  const std::int64_t before = bench.engine.stats().n_generated_tokens;
  int n_with_two = 0;
  while (!sink->ended()) {
    const auto start = bench.clock.time;
    bench.engine.step();
    if (sink->tokens[0].size() < 2) continue;  // its prompt is computed
    ++n_with_two;
    longest = std::max(longest, std::chrono::duration<double>(bench.clock.time - start).count());
  }
  EXPECT_GT(bench.engine.stats().n_generated_tokens, before + 400);
  EXPECT_GT(n_with_two, 5);
  EXPECT_GT(bench.engine.stats().n_draft_model_rows - n_read, 700) << "it was read";
  EXPECT_LT(bench.drafter.most_rows, 100);
  EXPECT_LT(longest, 0.05) << "all of it at once takes 0.35 s";
  bench.run_all();
}

// What repeats is guessed for nothing, and the draft model guesses the rest.
TEST(DraftModel, LeavesRepetitionsAlone) {
  DraftBench bench({.n_blocks = 200, .n_draft_blocks = 200, .max_model_len = 400});
  bench.runner.period = 5;
  bench.drafter.wrong_every = 2;
  bench.warm_up();
  Request r = greedy("a", 23, 300);
  const auto sink = bench.submit(r);
  bench.run_all();
  ASSERT_TRUE(sink->ended());
  EXPECT_EQ(sink->tokens[0], expected_answer(r, 0, kVocab, bench.options, 5).tokens);
  const EngineStats stats = bench.engine.stats();
  EXPECT_GT(stats.n_accepted_drafts - stats.n_accepted_model_drafts, 60);
}

TEST(DraftModel, LeavesSearchesAlone) {
  DraftBench bench;
  bench.warm_up();
  const std::int64_t before = bench.engine.stats().n_draft_model_rows;
  Request r = make_request("a", 9, 12);
  r.beams.n_beams = 3;
  const auto sink = bench.submit(r);
  bench.run_all();
  EXPECT_TRUE(sink->ended());
  EXPECT_EQ(bench.engine.stats().n_draft_model_rows, before);
}

TEST(DraftModel, StopsWhereStreamsAreMany) {
  double shares[2] = {};
  for (const int n_streams : {1, 32}) {
    DraftBench bench(
        {.n_blocks = 2000, .n_draft_blocks = 2000, .max_sequences = 32, .max_output_rows = 300});
    bench.drafter.fixed_us = 100;
    bench.drafter.row_us = 400;
    bench.warm_up();
    for (int i = 0; i < n_streams; ++i) {
      Request r = greedy("r" + std::to_string(i), 5, 100);
      r.prompt_ids[0] = i;
      bench.submit(r);
    }
    bench.run_all();
    const EngineStats stats = bench.engine.stats();
    shares[n_streams > 1 ? 1 : 0] = static_cast<double>(stats.n_accepted_model_drafts) /
                                    static_cast<double>(stats.n_generated_tokens);
  }
  EXPECT_GT(shares[0], 0.6);
  EXPECT_LT(shares[1], 0.2);
}

TEST(DraftModel, HasNoStates) {
  BenchOptions o;
  EngineOptions options = DraftBench::engine_options(o);
  FakeClock clock;
  FakeRunner runner(kVocab, options);
  EngineOptions with_states = options;
  with_states.kv_groups[1].kind = kv::KvKind::kState;
  options.draft_model = {.runner = &runner,
                         .kv_groups = with_states.kv_groups,
                         .blocks_per_group = options.blocks_per_group};
  EXPECT_THROW(Engine(runner, options, clock, false), Error);
}

TEST(DraftOdds, LearnByHowSureTheModelWas) {
  DraftOdds odds;
  EXPECT_GT(odds.chance(0.9F), odds.chance(0.2F));
  for (int i = 0; i < 100; ++i) {
    odds.learn(0.95F, true);
    odds.learn(0.35F, false);
  }
  EXPECT_GT(odds.chance(0.92F), 0.95);
  EXPECT_LT(odds.chance(0.38F), 0.05);
  EXPECT_NEAR(odds.mean(), 0.5, 0.1);
  for (int i = 0; i < 100; ++i) odds.note_untested(0.35F);
  EXPECT_LT(odds.mean(), 0.1);
  EXPECT_LE(odds.chance(1.0F), 1.0);
  EXPECT_GT(odds.chance(0.0F), 0.0);
}

TEST(DraftOdds, LuckIsOfATextAndGrowsOld) {
  DraftLuck luck;
  EXPECT_EQ(luck.factor(), 1.0);
  for (int i = 0; i < 30; ++i) luck.learn(0.8, false);
  EXPECT_LT(luck.factor(), 0.3);
  for (int i = 0; i < 300; ++i) luck.rest();
  EXPECT_NEAR(luck.factor(), 1.0, 0.05);
}

TEST(DraftOdds, TheBestNumberOfGuessesMayBeNone) {
  const GuessCosts cheap{.token_s = 1.0, .row_s = 0.02, .draft_s = 0.1};
  EXPECT_NEAR(best_token_s(1.0, 7, cheap), 1.84 / 8, 1e-9);
  EXPECT_EQ(best_token_s(0.05, 7, cheap), 1.0);
  EXPECT_EQ(best_token_s(1.0, 0, cheap), 1.0);
  EXPECT_NEAR(best_token_s(0.5, 7, cheap), 1.24 / 1.75, 1e-9);
}

}  // namespace
}  // namespace openllm::engine
