#include "llm/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/test_files.h"

namespace openllm::llm {
namespace {

using backend::Backend;
using backend::BackendEntry;
using backend::Capabilities;
using format::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";

/// Answers nothing; writes down what happens to it.
class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(std::vector<std::string>& events) : events_(events) {
    events_.emplace_back("made");
  }
  ~FakeBackend() override { events_.emplace_back("destroyed"); }
  Capabilities capabilities() const noexcept override { return {}; }
  int vocab_size() const noexcept override { return 512; }
  int max_model_len() const noexcept override { return 64; }
  std::string device() const override { return "fake"; }
  std::string isa() const override { return {}; }
  void submit(engine::Request /*request*/) override {}
  void cancel(const std::string& /*id*/) override {}
  void stop_choice(const std::string& /*id*/, int /*choice*/) override {}
  EngineStats stats() const override { return {}; }
  void shut_down(const base::Failure& failure) override { events_.push_back(failure.message); }

 private:
  std::vector<std::string>& events_;
};

class RuntimeTest : public ::testing::Test {
 protected:
  RuntimeTest() { ::unsetenv("OPENLLM_BACKEND"); }

  /// An entry whose first `n_failures` loads fail.
  BackendEntry entry(const char* name, int n_failures,
                     ErrorCode code = ErrorCode::kResourceExhausted) {
    BackendEntry made{.name = name, .available = true};
    made.supports = [](const format::ModelSource&, const LoadOptions&) {
      return std::optional<backend::Refusal>();
    };
    made.load = [this, code, left = std::make_shared<int>(n_failures)](
                    const format::ModelSource&, const LoadOptions&) -> std::unique_ptr<Backend> {
      if ((*left)-- > 0) throw Error(code, "no room");
      return std::make_unique<FakeBackend>(events_);
    };
    return made;
  }

  std::vector<std::string> events_;
  LocalModel model_{kModel, {}};
};

TEST_F(RuntimeTest, LoadsOnceAndAgainAfterUnloading) {
  Runtime runtime(model_, {}, {entry("only", 0)});
  EXPECT_EQ(runtime.backend_or_null(), nullptr);
  EXPECT_EQ(runtime.backend_name(), "only");
  EXPECT_EQ(Runtime(model_, {}, {}).backend_name(), "none");
  EXPECT_EQ(runtime.load(), runtime.load());
  runtime.unload();
  runtime.unload();
  EXPECT_EQ(runtime.backend_or_null(), nullptr);
  EXPECT_THAT(events_, ElementsAre("made", "hf: was unloaded", "destroyed"));
  EXPECT_NE(runtime.load(), nullptr);
}

TEST_F(RuntimeTest, ABackendThatIsHeldOutlivesItsUnloading) {
  Runtime runtime(model_, {}, {entry("only", 0)});
  auto held = runtime.load();
  runtime.unload();
  EXPECT_THAT(events_, ElementsAre("made", "hf: was unloaded"));
  held.reset();
  EXPECT_THAT(events_, ElementsAre("made", "hf: was unloaded", "destroyed"));
}

TEST_F(RuntimeTest, TheNextBackendTakesThePlaceOfOneThatCannotLoad) {
  Runtime runtime(model_, {}, {entry("first", 1), entry("second", 0)});
  EXPECT_EQ(runtime.choice().entry->name, "first");
  EXPECT_NE(runtime.load(), nullptr);
  EXPECT_EQ(runtime.choice().entry->name, "second");
  EXPECT_THAT(runtime.choice().reason, HasSubstr("first failed to load: no room"));
}

TEST_F(RuntimeTest, WhatIsNamedOrDamagedIsNotReplaced) {
  Runtime named(model_, {.backend = "first"}, {entry("first", 1), entry("second", 0)});
  EXPECT_EQ(error_of([&] { named.load(); }).code(), ErrorCode::kResourceExhausted);
  EXPECT_NE(named.load(), nullptr) << "a failed attempt can be repeated";
  EXPECT_EQ(named.choice().entry->name, "first");
  Runtime damaged(model_, {}, {entry("first", 1, ErrorCode::kCorruptData), entry("second", 0)});
  EXPECT_EQ(error_of([&] { damaged.load(); }).code(), ErrorCode::kCorruptData);
}

TEST_F(RuntimeTest, TheLastFailureIsThrown) {
  Runtime runtime(model_, {}, {entry("first", 1), entry("second", 1)});
  const Error error = error_of([&] { runtime.load(); });
  EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(runtime.backend_or_null(), nullptr);
}

TEST_F(RuntimeTest, AFailureSaysWhyOthersDidNotTakeTheModel) {
  backend::BackendEntry refuses = entry("first", 0);
  refuses.supports = [](const format::ModelSource&, const LoadOptions&) {
    return std::optional<backend::Refusal>(Error(ErrorCode::kUnsupported, "a rope that is odd"));
  };
  Runtime runtime(model_, {}, {refuses, entry("second", 1, ErrorCode::kUnavailable)});
  const Error error = error_of([&] { runtime.load(); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_STREQ(error.what(), "no room; first: a rope that is odd");
}

TEST_F(RuntimeTest, UnloadingDropsTheTokenizer) {
  Runtime runtime(model_, {}, {entry("only", 0)});
  runtime.load();
  const std::weak_ptr<const tokenizer::Tokenizer> before = model_.tokenizer();
  runtime.unload();
  EXPECT_TRUE(before.expired());
}

TEST_F(RuntimeTest, WithoutABackendNothingIsLoaded) {
  BackendEntry absent = entry("only", 0);
  absent.available = false;
  absent.reason = "not built";
  std::vector<std::string> stages;
  const LoadOptions options{
      .progress = [&](const std::string& stage, double) { stages.push_back(stage); }};
  Runtime runtime(model_, options, {absent});
  EXPECT_EQ(error_of([&] { runtime.load(); }).code(), ErrorCode::kUnsupported);
  EXPECT_THAT(stages, ::testing::IsEmpty());
}

TEST_F(RuntimeTest, LoadingBeginsWithTheTokenizerAndEndsReady) {
  std::vector<std::string> stages;
  const LoadOptions options{.progress = [&](const std::string& stage, double fraction) {
    stages.push_back(base::cat(stage, " ", fraction));
  }};
  Runtime runtime(model_, options, {entry("only", 0)});
  runtime.load();
  EXPECT_THAT(stages, ElementsAre("loading tokenizer 0", "ready 1"));
}

}  // namespace
}  // namespace openllm::llm
