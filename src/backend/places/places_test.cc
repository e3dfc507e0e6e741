// Several places as one backend: which there are, how they load, what is refused.

#include "backend/places/places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/choose.h"
#include "backend/places/fake_place.h"
#include "format/test_files.h"

namespace openllm::backend {
namespace {

using format::testing::error_of;
using places::test::FakePlace;
using ::testing::HasSubstr;

const format::ModelSource kSource;

/// Entries whose loading is told by the test.
struct Entries {
  using Load = std::function<std::unique_ptr<Backend>(const LoadOptions&)>;

  BackendEntry entry(const char* name, Load load) {
    BackendEntry entry{.name = name, .available = true, .reason = std::string("fake ") + name};
    entry.supports = [this](const format::ModelSource&, const LoadOptions& options) {
      asked.push_back(options);
      return std::optional<Refusal>();
    };
    entry.describe = [](const format::ModelSource&, const LoadOptions&) {
      return ModelFacts{.architecture = "fake"};
    };
    entry.load = [this, load](const format::ModelSource&, const LoadOptions& options) {
      loaded.push_back(options);
      return load(options);
    };
    return entry;
  }
  std::vector<BackendEntry> all() {
    return {entry("vllm", vllm), entry("native", native), entry("pt", native)};
  }

  static std::unique_ptr<Backend> works(const LoadOptions&) {
    return std::make_unique<FakePlace>();
  }
  template <ErrorCode kCode>
  static std::unique_ptr<Backend> fails(const LoadOptions&) {
    throw Error(kCode, "cannot be");
  }

  Load vllm = works;
  Load native = works;
  std::vector<LoadOptions> asked;
  std::vector<LoadOptions> loaded;
};

LoadOptions at(std::vector<std::string> places) {
  LoadOptions options;
  options.places = std::move(places);
  return options;
}

TEST(Places, AreTheChoiceWhereTheyAreNamed) {
  Entries entries;
  const LoadOptions options = at({"native", "http://127.0.0.1:9"});
  const Choice choice = choose_backend(entries.all(), kSource, options);
  EXPECT_EQ(choice.require().name, "places");
  EXPECT_EQ(choice.reason, "places are named");
  EXPECT_EQ(choice.entry->describe(kSource, options).architecture, "fake");
  LoadOptions both = options;
  both.backend = "native";
  EXPECT_EQ(error_of([&] { (void)choose_backend(entries.all(), kSource, both); }).where(),
            "places");
}

TEST(Places, EachGetsTheOptionsThatAreAboutIt) {
  Entries entries;
  LoadOptions options = at({"native", "http://127.0.0.1:9/v1/", "pt"});
  options.n_threads = 3;
  options.max_model_len = 77;
  options.pt.device = "cpu";
  options.vllm.api_key = "key";
  const auto backend = places_backend(entries.all()).load(kSource, options);
  ASSERT_EQ(entries.loaded.size(), 3U);
  EXPECT_EQ(entries.loaded[0].backend, "native");
  EXPECT_EQ(entries.loaded[0].n_threads, 3);
  EXPECT_EQ(entries.loaded[0].vllm.api_key, "");
  EXPECT_EQ(entries.loaded[0].pt.device, "");
  EXPECT_EQ(entries.loaded[1].backend, "vllm");
  EXPECT_EQ(entries.loaded[1].n_threads, 0);
  EXPECT_EQ(entries.loaded[1].max_model_len, 77);
  EXPECT_EQ(entries.loaded[1].vllm.api_key, "key");
  EXPECT_THAT(entries.loaded[1].vllm.urls, ::testing::ElementsAre("http://127.0.0.1:9/v1/"));
  EXPECT_EQ(entries.loaded[2].pt.device, "cpu");
  EXPECT_EQ(backend->device(), "native, http://127.0.0.1:9/v1/, pt");
  // Alone, a server gets them all, so that it can refuse them.
  options.places = {"http://127.0.0.1:9"};
  entries.loaded.clear();
  (void)places_backend(entries.all()).load(kSource, options);
  EXPECT_EQ(entries.loaded[0].n_threads, 3);
}

TEST(Places, OneThatLoadsIsEnough) {
  Entries entries;
  entries.vllm = Entries::fails<ErrorCode::kUnavailable>;
  const auto backend =
      places_backend(entries.all()).load(kSource, at({"http://127.0.0.1:9", "native"}));
  const std::vector<PlaceStats> stats = backend->stats().places;
  ASSERT_EQ(stats.size(), 2U);
  EXPECT_FALSE(stats[0].is_up);
  EXPECT_EQ(stats[0].reason, "cannot be");
  EXPECT_TRUE(stats[1].is_up);
  entries.native = Entries::fails<ErrorCode::kResourceExhausted>;
  const Error none = error_of([&] {
    (void)places_backend(entries.all()).load(kSource, at({"http://127.0.0.1:9", "native"}));
  });
  EXPECT_EQ(none.code(), ErrorCode::kUnavailable);
  EXPECT_STREQ(none.what(),
               "places: none can be loaded: http://127.0.0.1:9: cannot be; native: cannot be");
}

TEST(Places, DamagedFilesAreNoMatterOfAPlace) {
  Entries entries;
  entries.native = Entries::fails<ErrorCode::kCorruptData>;
  EXPECT_EQ(
      error_of([&] {
        (void)places_backend(entries.all()).load(kSource, at({"http://127.0.0.1:9", "native"}));
      }).code(),
      ErrorCode::kCorruptData);
}

TEST(Places, WhatIsNoneIsNamed) {
  Entries entries;
  const auto refusal = [&](std::vector<std::string> places) {
    const auto refused = places_backend(entries.all()).supports(kSource, at(std::move(places)));
    return refused ? std::string(refused->what()) : "none";
  };
  EXPECT_THAT(refusal({"nativ"}), HasSubstr("expected native, pt, or a server"));
  EXPECT_THAT(refusal({"vllm"}), HasSubstr("by its address alone"));
  EXPECT_THAT(refusal({"ftp://a"}), HasSubstr("not the address of a server"));
  EXPECT_THAT(refusal({"native", "native"}), HasSubstr("has native twice"));
  EXPECT_THAT(refusal({"http://a:1", "http://a:1/"}), HasSubstr("twice"));
  EXPECT_EQ(refusal({"http://a:1", "native"}), "none");
}

TEST(Places, EachIsAskedWhetherItCan) {
  Entries entries;
  const auto answers = ask_places(entries.all(), kSource, at({"native", "http://127.0.0.1:9"}));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].name, "native");
  EXPECT_EQ(answers[0].what, "fake native");
  EXPECT_FALSE(answers[0].refusal);
  EXPECT_EQ(entries.asked[1].backend, "") << "so that the server itself is asked";
}

TEST(Places, EndTogether) {
  Entries entries;
  const auto backend = places_backend(entries.all()).load(kSource, at({"native"}));
  EXPECT_EQ(backend->vocab_size(), places::test::kVocab);
  EXPECT_EQ(backend->max_model_len(), places::test::kModelLen);
  engine::Request request = places::test::make_request();
  auto sink = std::make_shared<engine::RecordingSink>(1);
  request.sink = sink;
  backend->submit(request);
  backend->shut_down({ErrorCode::kUnavailable, "was unloaded"});
  EXPECT_EQ(sink->errors[0], "was unloaded");
  EXPECT_THROW(backend->submit(request), Error);
}

}  // namespace
}  // namespace openllm::backend
