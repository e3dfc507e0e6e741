#include "backend/choose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "format/test_files.h"

namespace openllm::backend {
namespace {

using format::testing::error_of;
using format::testing::TempFolder;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// Sets OPENLLM_BACKEND for one test; empty: unset.
class Environment {
 public:
  explicit Environment(const char* value) {
    *value == '\0' ? ::unsetenv(kName) : ::setenv(kName, value, 1);
  }
  static void set_empty() { ::setenv(kName, "", 1); }
  ~Environment() { ::unsetenv(kName); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static constexpr const char* kName = "OPENLLM_BACKEND";
};

BackendEntry entry_that(const char* name, std::optional<Refusal> refusal) {
  BackendEntry entry;
  entry.name = name;
  entry.available = true;
  entry.reason = "a fake";
  entry.supports = [refusal](const format::ModelSource&, const LoadOptions&) { return refusal; };
  return entry;
}

std::vector<BackendEntry> some_entries(std::optional<Refusal> first,
                                       std::optional<Refusal> second) {
  return {BackendEntry{.name = "absent", .reason = "not in this build"},
          entry_that("first", std::move(first)), entry_that("second", std::move(second))};
}

const Refusal kUnknown{ErrorCode::kUnsupported, "config.json: unknown architecture foo"};
const format::ModelSource kSource;

TEST(ChooseBackend, TakesTheFirstThatCan) {
  const Environment none("");
  const Choice first = choose_backend(some_entries({}, {}), kSource, {});
  EXPECT_EQ(first.entry->name, "first");
  EXPECT_EQ(first.reason, "the first available one; absent skipped: not in this build");
  const Choice second = choose_backend(some_entries(kUnknown, {}), kSource, {});
  EXPECT_EQ(second.entry->name, "second");
  EXPECT_THAT(second.reason, HasSubstr("first skipped: config.json: unknown architecture foo"));
  EXPECT_EQ(first.refusals, "");  // what is absent said nothing of the model
  EXPECT_EQ(second.refusals, "first: config.json: unknown architecture foo");
}

TEST(ChooseBackend, ANameWinsOverTheEnvironmentAndThatOverTheOrder) {
  const Environment second("second");
  const auto entries = some_entries({}, {});
  EXPECT_EQ(choose_backend(entries, kSource, {}).entry->name, "second");
  EXPECT_THAT(choose_backend(entries, kSource, {}).reason, HasSubstr("OPENLLM_BACKEND"));
  const Choice named = choose_backend(entries, kSource, {.backend = "first"});
  EXPECT_EQ(named.entry->name, "first");
  EXPECT_EQ(named.reason, "asked for by name");
}

TEST(ChooseBackend, AnEmptyVariableIsNone) {
  const Environment none("");
  Environment::set_empty();
  const Choice choice = choose_backend(some_entries({}, {}), kSource, {});
  EXPECT_EQ(choice.entry->name, "first");
  EXPECT_TRUE(choice.is_automatic);
}

TEST(ChooseBackend, WhatABackendCannotDoMakesRoomForTheNext) {
  const Environment none("");
  for (const ErrorCode code :
       {ErrorCode::kUnsupported, ErrorCode::kUnavailable, ErrorCode::kNotFound}) {
    const auto entries = some_entries(Refusal{code, "cannot"}, {});
    EXPECT_EQ(choose_backend(entries, kSource, {}).entry->name, "second");
    const Choice named = choose_backend(entries, kSource, {.backend = "first"});
    EXPECT_FALSE(named.entry);
    EXPECT_EQ(named.code, code);
  }
}

/// The code is that of the first which this machine has.
TEST(ChooseBackend, WhereNoneCanTheFirstThatIsThereSaysWhy) {
  const Environment none("");
  const Refusal missing{ErrorCode::kNotFound, "no weights"};
  const Refusal away{ErrorCode::kUnavailable, "no Python"};
  EXPECT_EQ(choose_backend(some_entries(missing, away), kSource, {}).code, ErrorCode::kNotFound);
  EXPECT_EQ(choose_backend(some_entries(away, missing), kSource, {}).code, ErrorCode::kNotFound)
      << "one that is away says less";
  EXPECT_EQ(choose_backend(some_entries(away, away), kSource, {}).code, ErrorCode::kUnavailable);
  std::vector<BackendEntry> absent = some_entries({}, {});
  absent.resize(1);
  const Choice choice = choose_backend(absent, kSource, {});
  EXPECT_EQ(choice.code, ErrorCode::kUnsupported);
  EXPECT_EQ(choice.reason, "no backend can run this model: absent: not in this build");
}

TEST(ChooseBackend, N3WhereNoneCanEveryReasonIsKept) {
  const Environment none("");
  const Choice choice = choose_backend(
      some_entries(kUnknown, Refusal{ErrorCode::kUnavailable, "no Python"}), kSource, {});
  EXPECT_FALSE(choice.entry);
  EXPECT_EQ(choice.code, ErrorCode::kUnsupported);
  EXPECT_EQ(choice.reason,
            "no backend can run this model: first: config.json: unknown architecture foo; second: "
            "no Python; absent: not in this build");
  const Error error = error_of([&] { (void)choice.require(); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error.what(), choice.reason);
}

TEST(ChooseBackend, NamesThatCannotBeAreRefusedAtOnce) {
  const Environment none("");
  const auto entries = some_entries({}, {});
  const Error unknown =
      error_of([&] { (void)choose_backend(entries, kSource, {.backend = "magic"}); });
  EXPECT_EQ(unknown.code(), ErrorCode::kNotFound);
  EXPECT_THAT(unknown.what(), HasSubstr("expected one of absent, first, second; got magic"));
  const Error absent =
      error_of([&] { (void)choose_backend(entries, kSource, {.backend = "absent"}); });
  EXPECT_EQ(absent.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(absent.what(), HasSubstr("not in this build"));
  const Environment wrong("magic");
  EXPECT_THAT(error_of([&] { (void)choose_backend(entries, kSource, {}); }).what(),
              HasSubstr("OPENLLM_BACKEND: unknown backend"));
}

TEST(ChooseBackend, ANamedOneThatCannotIsNotReplaced) {
  const Environment none("");
  const Choice choice = choose_backend(some_entries(kUnknown, {}), kSource, {.backend = "first"});
  EXPECT_FALSE(choice.entry);
  EXPECT_EQ(choice.code, ErrorCode::kUnsupported);
  EXPECT_THAT(choice.reason, HasSubstr("unknown architecture foo (backend first, asked for"));
}

TEST(ChooseBackend, DamagedFilesAndBadOptionsAreNoMatterOfTheBackend) {
  const Environment none("");
  for (const ErrorCode code : {ErrorCode::kCorruptData, ErrorCode::kInvalidArgument}) {
    const auto entries = some_entries(Refusal{code, "bad"}, {});
    EXPECT_EQ(error_of([&] { (void)choose_backend(entries, kSource, {}); }).code(), code);
    EXPECT_EQ(
        error_of([&] { (void)choose_backend(entries, kSource, {.backend = "first"}); }).code(),
        code);
  }
}

TEST(ChooseNext, AnAutomaticChoiceThatFailsMakesRoom) {
  const Environment none("");
  const auto entries = some_entries({}, {});
  const Choice first = choose_backend(entries, kSource, {});
  const Error failure(ErrorCode::kUnavailable, "the worker died");
  const auto second = choose_next(first, failure, entries, kSource, {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->entry->name, "second");
  EXPECT_THAT(second->reason, HasSubstr("first failed to load: the worker died"));
  EXPECT_FALSE(choose_next(*second, failure, entries, kSource, {})) << "none is left";
  const Error damaged(ErrorCode::kCorruptData, "damaged");
  EXPECT_FALSE(choose_next(first, damaged, entries, kSource, {}));
  const Choice named = choose_backend(entries, kSource, {.backend = "first"});
  EXPECT_FALSE(choose_next(named, failure, entries, kSource, {}));
  const auto cannot = some_entries({}, kUnknown);
  EXPECT_FALSE(choose_next(choose_backend(cannot, kSource, {}), failure, cannot, kSource, {}));
}

TEST(ChooseNext, OnlyWhatIsTheBackendsMatterMakesRoom) {
  const Environment none("");
  const auto entries = some_entries({}, {});
  const Choice first = choose_backend(entries, kSource, {});
  const auto goes_on = [&](ErrorCode code) {
    return choose_next(first, Error(code, "why"), entries, kSource, {}).has_value();
  };
  for (const ErrorCode code :
       {ErrorCode::kUnsupported, ErrorCode::kUnavailable, ErrorCode::kNotFound, ErrorCode::kIo,
        ErrorCode::kResourceExhausted, ErrorCode::kInternal}) {
    EXPECT_TRUE(goes_on(code)) << static_cast<int>(code);
  }
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kCorruptData, ErrorCode::kCancelled}) {
    EXPECT_FALSE(goes_on(code)) << static_cast<int>(code);
  }
}

TEST(AskBackends, EveryEntryAnswers) {
  const auto answers = ask_backends(some_entries(kUnknown, {}), kSource, {});
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_STREQ(answers[0].refusal->what(), "not in this build");
  EXPECT_EQ(answers[1].refusal->code(), ErrorCode::kUnsupported);
  EXPECT_FALSE(answers[2].refusal);
}

/// What the native backend says of a folder.
std::optional<Refusal> native_refusal(const std::string& path, const LoadOptions& options = {}) {
  for (const BackendEntry& entry : backends()) {
    if (entry.name == "native") return entry.supports(format::open_model(path), options);
  }
  return std::nullopt;
}

TEST(Native, RefusesWithoutWeights) {
  const TempFolder folder;
  folder.write("config.json", R"({"architectures": ["FooForCausalLM"], "model_type": "foo"})");
  auto refusal = native_refusal(folder.path());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refusal->what(), HasSubstr("unknown architecture"));
  EXPECT_THAT(refusal->what(), HasSubstr("foo"));
  folder.write("config.json", R"({"architectures": ["FooForCausalLM"]})");
  refusal = native_refusal(folder.path());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kUnsupported);
  EXPECT_THAT(refusal->what(), HasSubstr("FooForCausalLM"));
  folder.write("config.json", R"({"model_type": "llama"})");
  refusal = native_refusal(folder.path());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kNotFound);
  EXPECT_THAT(refusal->what(), HasSubstr("no file of these names"));
}

TEST(Native, TakesEncodersAndEncoderDecoders) {
  EXPECT_FALSE(native_refusal(std::string(OPENLLM_TEST_DATA) + "/models/bert"));
  EXPECT_FALSE(native_refusal(std::string(OPENLLM_TEST_DATA) + "/models/t5"));
}

TEST(Native, SupportsWhatItCanLoad) {
  const std::string model = std::string(OPENLLM_TEST_DATA) + "/models/llama";
  EXPECT_FALSE(native_refusal(model));
  const auto refusal = native_refusal(model, {.max_model_len = 1 << 20});
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace openllm::backend
