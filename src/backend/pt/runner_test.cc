// The runner and its process, against a Python program that needs no package.

#include "backend/pt/runner.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <functional>

#include "engine/engine.h"
#include "engine/fake_runner.h"
#include "openllm/error.h"

namespace openllm::backend::pt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kVocab = 100;
constexpr std::int32_t kDie = 90;
constexpr std::int32_t kGarbage = 91;
constexpr std::int32_t kNonsense = 92;
constexpr std::int32_t kHang = 93;
constexpr std::int32_t kOutOfMemory = 94;
constexpr std::int32_t kShowHeld = 95;
constexpr std::int32_t kWrongRows = 96;
constexpr std::int32_t kShowAdapters = 97;

WorkerStart start_of(const std::string& fault = "") {
  base::Json load;
  load["op"] = "load";
  load["device"] = "cpu";
  if (!fault.empty()) load["fault"] = fault;
  return {.python = OPENLLM_TEST_DATA "/pt/fake_python",
          .script = "no script",
          .load = load,
          .timeout = std::chrono::minutes(2),
          .max_output_rows = 8,
          .n_host_threads = 2};
}

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::kInternal, ""};
}

/// The fake model, as fake_python computes it.
std::vector<float> logits_of(const std::vector<std::int32_t>& tokens, std::int64_t shift = 0) {
  std::int64_t total = shift;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    total += static_cast<std::int64_t>(i + 3) * (tokens[i] + 1);
  std::vector<float> logits;
  for (int v = 0; v < kVocab; ++v)
    logits.push_back(v < kDie
                         ? static_cast<float>(static_cast<double>((total * 31 + v * 17) % 101) / 10)
                         : -50.0F);
  return logits;
}

/// A step of whole sequences or their next tokens; the logits of each one's last row are wanted.
class StepOf {
 public:
  StepOf& with(std::int64_t id, int past, const std::vector<std::int32_t>& tokens,
               std::int32_t adapter = 0) {
    const auto first = static_cast<std::int32_t>(step_.token_ids.size());
    step_.sequences.push_back({.first_row = first,
                               .n_rows = static_cast<std::int32_t>(tokens.size()),
                               .past_len = past,
                               .adapter = adapter,
                               .sequence_id = id});
    step_.token_ids.insert(step_.token_ids.end(), tokens.begin(), tokens.end());
    step_.logit_rows.push_back(first + static_cast<std::int32_t>(tokens.size()) - 1);
    return *this;
  }
  /// The logits of row `row` of the results.
  std::vector<float> run(Runner& runner, int row = 0) const {
    const float* logits = runner.run(step_).logits + std::ptrdiff_t{row} * kVocab;
    return {logits, logits + kVocab};
  }

 private:
  step::Step step_{};
};

TEST(PtRunner, ComputesSequencesThatGoOn) {
  Runner runner(start_of());
  EXPECT_EQ(runner.vocab_size(), kVocab);
  EXPECT_EQ(StepOf().with(1, 0, {3, 4, 5}).run(runner), logits_of({3, 4, 5}));
  const StepOf both = StepOf().with(1, 3, {6}).with(7, 0, {1});
  EXPECT_EQ(both.run(runner, 1), logits_of({1}));
  EXPECT_EQ(StepOf().with(1, 4, {2, 2}).run(runner), logits_of({3, 4, 5, 6, 2, 2}));
  EXPECT_EQ(StepOf().with(1, 0, {8}).run(runner), logits_of({8})) << "begun again";
}

TEST(PtRunner, TheWorkerHasNoNetworkAndNoKeys) {
  ::setenv("HF_TOKEN", "secret", 1);
  Runner runner(start_of());
  ::unsetenv("HF_TOKEN");
  EXPECT_EQ(runner.model().versions, "fake with HF_HUB_OFFLINE");
}

TEST(PtRunner, TellsTheWorkerWhatEnded) {
  Runner runner(start_of());
  const auto held = [&](std::int64_t id) {
    return StepOf().with(50, 0, {kShowHeld}).run(runner)[static_cast<std::size_t>(id)] > 0;
  };
  (void)StepOf().with(1, 0, {3}).with(2, 0, {3}).run(runner);
  EXPECT_TRUE(held(1));
  runner.forget(1);
  runner.forget(99);  // nobody
  EXPECT_FALSE(held(1));
  EXPECT_TRUE(held(2));
  runner.forget(50);
  runner.forget(2);  // the last one: told at once
  EXPECT_FALSE(held(2));
}

TEST(PtRunner, DeathFailsTheStepAndAnotherWorkerGoesOn) {
  Runner runner(start_of());
  (void)StepOf().with(1, 0, {3, 4}).with(2, 0, {5}).run(runner);
  const pid_t first = runner.pid();
  const Error error = error_of([&] { (void)StepOf().with(2, 1, {kDie}).run(runner); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("ended with status 3"), HasSubstr("a fault: die")));
  runner.forget(2);
  EXPECT_EQ(StepOf().with(1, 2, {6}).run(runner), logits_of({3, 4, 6}))
      << "computed again from its beginning";
  EXPECT_NE(runner.pid(), first);
  EXPECT_EQ(StepOf().with(1, 3, {7}).run(runner), logits_of({3, 4, 6, 7}));
}

TEST(PtRunner, AKilledWorkerIsFollowedByAnother) {
  Runner runner(start_of());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(StepOf().with(i, 0, {3}).run(runner), logits_of({3}));
    ASSERT_EQ(::kill(runner.pid(), SIGKILL), 0);
    const Error error = error_of([&] {  // it may have sent an answer yet
      while (true) (void)StepOf().with(100 + i, 0, {3}).run(runner);
    });
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("was ended by signal 9"));
  }
}

TEST(PtRunner, GivesUpWhenTheNextOneDoesNothing) {
  Runner runner(start_of());
  EXPECT_EQ(error_of([&] { (void)StepOf().with(1, 0, {kDie}).run(runner); }).code(),
            ErrorCode::kUnavailable)
      << "before it computed anything";
  const Error error = error_of([&] { (void)StepOf().with(2, 0, {3}).run(runner); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no worker is started again"), HasSubstr("a fault")));
  EXPECT_EQ(runner.pid(), 0);
}

TEST(PtRunner, WhatIsNoAnswerEndsTheWorker) {
  for (const auto& [token, code] :
       {std::pair{kGarbage, ErrorCode::kUnavailable}, std::pair{kNonsense, ErrorCode::kIo}}) {
    Runner runner(start_of());
    (void)StepOf().with(1, 0, {3}).run(runner);
    const pid_t first = runner.pid();
    EXPECT_EQ(error_of([&, t = token] { (void)StepOf().with(2, 0, {t}).run(runner); }).code(),
              code);
    EXPECT_EQ(StepOf().with(1, 1, {4}).run(runner), logits_of({3, 4}));
    EXPECT_NE(runner.pid(), first);
  }
}

TEST(PtRunner, AnErrorFailsTheStepAlone) {
  Runner runner(start_of());
  (void)StepOf().with(1, 0, {3}).run(runner);
  const pid_t first = runner.pid();
  const Error full = error_of([&] { (void)StepOf().with(2, 0, {kOutOfMemory}).run(runner); });
  EXPECT_EQ(full.code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(full.what(), HasSubstr("CUDA is full"));
  runner.forget(2);
  EXPECT_EQ(error_of([&] { (void)StepOf().with(3, 0, {kWrongRows}).run(runner); }).code(),
            ErrorCode::kInternal);
  runner.forget(3);
  EXPECT_EQ(StepOf().with(1, 1, {4}).run(runner), logits_of({3, 4}));
  EXPECT_EQ(runner.pid(), first);
}

TEST(PtRunner, StartsThatFail) {
  const Error died = error_of([] { Runner runner(start_of("die")); });
  EXPECT_EQ(died.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(died.what(), HasSubstr("ended with status 3"));
  EXPECT_EQ(error_of([] { Runner runner(start_of("garbage")); }).code(), ErrorCode::kUnavailable);
  EXPECT_EQ(error_of([] { Runner runner(start_of("nonsense")); }).code(), ErrorCode::kIo);
  const Error refused = error_of([] { Runner runner(start_of("unsupported")); });
  EXPECT_EQ(refused.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refused.what(), HasSubstr("cannot load: unsupported"));
  WorkerStart hangs = start_of("hang");
  hangs.timeout = std::chrono::milliseconds(50);
  EXPECT_THAT(error_of([&] { Runner runner(hangs); }).what(), HasSubstr("no answer in time"));
  WorkerStart absent = start_of();
  absent.python = "/no/such/python";
  const Error none = error_of([&] { Runner runner(absent); });
  EXPECT_EQ(none.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(none.what(), HasSubstr("cannot be run"));
}

TEST(PtRunner, AStopEndsWhatHangs) {
  Runner runner(start_of());
  std::thread other([&runner] { runner.ask_to_stop(); });
  const Error error = error_of([&] { (void)StepOf().with(1, 0, {kHang}).run(runner); });
  other.join();
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error_of([&] { (void)StepOf().with(2, 0, {3}).run(runner); }).what(),
              HasSubstr("no worker is started again"));
}

TEST(PtRunner, WorkersEndWithIt) {
  pid_t worker = 0;
  {
    Runner runner(start_of());
    worker = runner.pid();
    EXPECT_EQ(::kill(worker, 0), 0);
  }
  EXPECT_EQ(::kill(worker, 0), -1) << "it was waited for";
}

/// What the fake model adds for an adapter of that name.
std::int64_t shift_of(const std::string& name) {
  std::int64_t total = 0;
  for (const char c : name) total += 100 * std::int64_t{c};
  return total;
}

bool has_adapter(Runner& runner, std::int64_t adapter) {
  const std::vector<float> row = StepOf().with(80, 0, {kShowAdapters}).run(runner);
  runner.forget(80);
  return row[static_cast<std::size_t>(adapter)] > 0;
}

TEST(PtRunner, RowsHaveTheSumsThatTheyName) {
  Runner runner(start_of());
  const std::int64_t a = runner.mount_adapter("a");
  const std::int64_t b = runner.mount_adapter("b");
  runner.mount_sum(5, {{a, 1.0F}});
  runner.mount_sum(6, {{a, -0.5F}, {b, 2.0F}});
  const StepOf all =
      StepOf().with(1, 0, {3, 4}, 5).with(2, 0, {3, 4}).with(3, 0, {3, 4}, 6).with(4, 0, {3, 4}, 5);
  EXPECT_EQ(all.run(runner, 0), logits_of({3, 4}, shift_of("a")));
  EXPECT_EQ(all.run(runner, 1), logits_of({3, 4}));
  EXPECT_EQ(all.run(runner, 2), logits_of({3, 4}, 2 * shift_of("b") - shift_of("a") / 2));
  EXPECT_EQ(StepOf().with(1, 2, {7}, 5).run(runner), logits_of({3, 4, 7}, shift_of("a")));
}

TEST(PtRunner, DroppedAdaptersGoWithoutAStep) {
  Runner runner(start_of());
  const std::int64_t a = runner.mount_adapter("a");
  const std::int64_t b = runner.mount_adapter("b");
  EXPECT_TRUE(has_adapter(runner, a));
  runner.drop_adapter(a);
  EXPECT_FALSE(has_adapter(runner, a));
  EXPECT_TRUE(has_adapter(runner, b));
}

TEST(PtRunner, WhatAnAdapterLacksIsToldAndTheWorkerGoesOn) {
  Runner runner(start_of());
  const pid_t first = runner.pid();
  const Error misfit = error_of([&] { (void)runner.mount_adapter("misfit"); });
  EXPECT_EQ(misfit.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(misfit.where(), "adapters");
  EXPECT_THAT(misfit.what(), HasSubstr("size mismatch"));
  EXPECT_EQ(error_of([&] { (void)runner.mount_adapter("no_peft"); }).code(),
            ErrorCode::kUnavailable);
  EXPECT_EQ(StepOf().with(1, 0, {3}).run(runner), logits_of({3}));
  EXPECT_EQ(runner.pid(), first);
  const Error died = error_of([&] { (void)runner.mount_adapter("die"); });
  EXPECT_EQ(died.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(died.what(), AllOf(HasSubstr("a fault: die"), HasSubstr("when it read die")));
  EXPECT_EQ(StepOf().with(1, 1, {4}).run(runner), logits_of({3, 4})) << "by another worker";
}

TEST(PtRunner, AnotherWorkerReadsTheAdaptersAgain) {
  namespace fs = std::filesystem;
  std::string name = (fs::temp_directory_path() / "openllm_pt_XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  Runner runner(start_of());
  const std::int64_t a = runner.mount_adapter("a");
  const std::int64_t gone = runner.mount_adapter(folder.string());
  runner.mount_sum(1, {{a, 1.0F}});
  runner.mount_sum(2, {{gone, 1.0F}, {a, 1.0F}});
  (void)StepOf().with(1, 0, {3}, 1).run(runner);
  EXPECT_NO_THROW(runner.require_sum(2));
  fs::remove_all(folder);
  (void)error_of([&] { (void)StepOf().with(9, 0, {kDie}).run(runner); });
  runner.forget(9);
  EXPECT_EQ(StepOf().with(1, 1, {4}, 1).run(runner), logits_of({3, 4}, shift_of("a")));
  EXPECT_NO_THROW(runner.require_sum(1));
  const Error lost = error_of([&] { runner.require_sum(2); });
  EXPECT_EQ(lost.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(lost.what(), HasSubstr("no such folder"));
}

TEST(PtRunner, AdaptersComeWhileStepsRun) {
  Runner runner(start_of());
  std::thread other([&runner] {
    for (int i = 0; i < 50; ++i) runner.drop_adapter(runner.mount_adapter("a"));
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(StepOf().with(i, 0, {3}).run(runner), logits_of({3}));
    runner.forget(i);
  }
  other.join();
  for (std::int64_t i = 1; i <= 50; ++i) EXPECT_FALSE(has_adapter(runner, i)) << i;
}

/// The fake model without another process.
class Double final : public engine::StepRunner {
 public:
  int vocab_size() const noexcept override { return kVocab; }
  step::Outputs run(const step::Step& step) override {
    logits_.clear();
    auto wanted = step.logit_rows.begin();
    for (const step::SequenceRows& rows : step.sequences) {
      std::vector<std::int32_t>& tokens = tokens_[rows.sequence_id];
      if (rows.past_len == 0) tokens.clear();
      EXPECT_EQ(tokens.size(), static_cast<std::size_t>(rows.past_len));
      for (std::int32_t i = 0; i < rows.n_rows; ++i) {
        tokens.push_back(step.token_ids[static_cast<std::size_t>(rows.first_row + i)]);
        if (wanted == step.logit_rows.end() || *wanted != rows.first_row + i) continue;
        const std::vector<float> row = logits_of(tokens);
        logits_.insert(logits_.end(), row.begin(), row.end());
        ++wanted;
      }
    }
    return {.logits = logits_.data()};
  }
  void forget(std::int64_t id) noexcept override { tokens_.erase(id); }
  std::size_t n_held() const { return tokens_.size(); }

 private:
  std::unordered_map<std::int64_t, std::vector<std::int32_t>> tokens_;
  std::vector<float> logits_;
};

engine::EngineOptions engine_options() {
  engine::EngineOptions options;
  options.max_step_tokens = 16;
  options.max_sequences = 8;
  options.max_output_rows = 8;
  options.max_model_len = 64;
  options.block_size = 64;
  options.prefix_caching = false;
  options.check_invariants = true;
  options.kv_groups.resize(1);
  options.blocks_per_group = {16};
  return options;
}

/// What the engine answers with this runner.
std::vector<std::shared_ptr<engine::RecordingSink>> answers_with(engine::StepRunner& runner) {
  engine::FakeClock clock;
  engine::Engine engine(runner, engine_options(), clock, false);
  std::vector<std::shared_ptr<engine::RecordingSink>> sinks;
  for (int i = 0; i < 6; ++i) {
    engine::Request request;
    request.id = std::to_string(i);
    for (int t = 0; t < 3 + 7 * i; ++t) request.prompt_ids.push_back((t * i + 5) % 80);
    request.n_choices = 1 + i % 3;
    request.max_new_tokens = 10;
    request.sampling.seed = static_cast<std::uint64_t>(i);
    request.sampling.temperature = i == 0 ? 0.0F : 0.8F;
    request.n_logprobs = 2;
    if (i == 2) request.n_prompt_logprobs = 0;
    request.priority = i % 2;
    for (std::int32_t v = kDie; v < kVocab; ++v)
      request.sampling.logit_bias.emplace_back(v, -100.0F);
    sinks.push_back(std::make_shared<engine::RecordingSink>(request.n_choices));
    request.sink = sinks.back();
    engine.submit(std::move(request));
  }
  for (int steps = 0; engine.step(); ++steps) {
    if (steps == 3) engine.cancel("4");
  }
  return sinks;
}

TEST(PtRunner, TheEngineIsTheSameAsWithAnyRunner) {
  Double expected_runner;
  const auto expected = answers_with(expected_runner);
  EXPECT_EQ(expected_runner.n_held(), 0U) << "all sequences are told of";
  Runner runner(start_of());
  const auto answers = answers_with(runner);
  ASSERT_EQ(answers.size(), expected.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i]->tokens, expected[i]->tokens) << i;
    EXPECT_EQ(answers[i]->logprobs, expected[i]->logprobs) << i;
    EXPECT_EQ(answers[i]->reasons, expected[i]->reasons) << i;
    EXPECT_TRUE(answers[i]->in_order && answers[i]->ended());
    EXPECT_EQ(answers[i]->prompt.size(), expected[i]->prompt.size());
  }
  EXPECT_EQ(answers[2]->prompt.size(), 16U);
}

}  // namespace
}  // namespace openllm::backend::pt
