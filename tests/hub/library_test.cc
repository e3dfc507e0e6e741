// Models of a hub by the library's own door: what is fetched, when, and what is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fake_hub.h"
#include "openllm/openllm.h"

namespace openllm::hub_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Sets a variable, and puts the old value back.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::setenv(name_, before_.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;  // empty variables count as unset
};

class Library : public ::testing::Test {
 protected:
  Library() {
    for (const auto& entry : fs::directory_iterator(OPENLLM_TEST_DATA "/stories260K/hf")) {
      const std::string name = entry.path().filename().string();
      fake_.put(name, content_of(entry.path()), name.ends_with(".safetensors"));
    }
  }
  ~Library() override { fs::remove_all(root_); }

  static fs::path make_folder() {
    char name[] = "/tmp/openllm-library-XXXXXX";
    return ::mkdtemp(name);
  }
  static Error error_of(const std::string& model, const LoadOptions& options) {
    try {
      (void)LLM(model, options);
    } catch (const Error& error) {
      return error;
    }
    return {ErrorCode::kInternal, "no error"};
  }
  static std::string answer_of(const LLM& llm) {
    return llm.generate("Once upon a time", {.max_new_tokens = 8, .temperature = 0.0F})
        .outputs.at(0)
        .text;
  }

  FakeHub fake_;
  fs::path root_ = make_folder();
  Variable endpoint_{"HF_ENDPOINT", fake_.address()};
  Variable cache_{"HF_HUB_CACHE", (root_ / "hub").string()};
  Variable home_{"OPENLLM_HOME", (root_ / "store").string()};
  Variable offline_{"HF_HUB_OFFLINE", "0"};
};

TEST_F(Library, ANameIsFetchedOnceAndThenNobodyIsAsked) {
  std::vector<std::string> stages;
  const LLM llm("org/model", {.progress = [&](const std::string& stage, double) {
                  if (stages.empty() || stages.back() != stage) stages.push_back(stage);
                }});
  EXPECT_THAT(stages, ::testing::Contains(HasSubstr("fetching model.safetensors, ")));
  EXPECT_EQ(llm.revision(), fake_.commit);
  EXPECT_THAT(answer_of(llm), HasSubstr("there was"));
  fake_.forget_requests();
  EXPECT_EQ(answer_of(LLM("org/model")), answer_of(llm));
  EXPECT_EQ(answer_of(LLM("org/model", {.offline = true, .ensure_available = false})),
            answer_of(llm));
  EXPECT_TRUE(fake_.requests().empty());
}

TEST_F(Library, WhatForbidsToFetchIsNamedAndNobodyIsAsked) {
  const Error not_ensured = error_of("org/model", {.ensure_available = false});
  EXPECT_EQ(not_ensured.code(), ErrorCode::kNotFound);
  EXPECT_EQ(not_ensured.reason(), ErrorReason::kModelNotFound);
  EXPECT_THAT(not_ensured.what(), HasSubstr("ensure_available"));
  const Error offline = error_of("org/model", {.offline = true});
  EXPECT_EQ(offline.code(), ErrorCode::kNotFound);
  EXPECT_THAT(offline.what(), HasSubstr("offline"));
  const Variable variable("HF_HUB_OFFLINE", "1");
  const Error forbidden = error_of("org/model", {});
  EXPECT_EQ(forbidden.code(), ErrorCode::kNotFound);
  EXPECT_THAT(forbidden.what(), HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_TRUE(fake_.requests().empty());
}

TEST_F(Library, NotInherited_N6ARevisionIsFetchedAndNotOnlyNamed) {
  const std::string v1(40, '1');
  fake_.branches["v1"] = v1;
  for (const auto& entry : fs::directory_iterator(OPENLLM_TEST_DATA "/stories260K/hf")) {
    const std::string name = entry.path().filename().string();
    fake_.put_at(v1, name, content_of(entry.path()), name.ends_with(".safetensors"));
  }
  fake_.put_at(v1, "generation_config.json", R"({"max_new_tokens": 3, "do_sample": false})");
  const LLM main("org/model");
  for (const LoadOptions& options :
       std::vector<LoadOptions>{{.revision = "v1"}, {.model_version = "v1"}}) {
    const LLM llm("org/model", options);
    EXPECT_EQ(llm.revision(), v1);
    EXPECT_EQ(llm.generate("Once upon a time").outputs[0].token_ids.size(), 3U);
  }
  EXPECT_EQ(LLM("org/model:v1").revision(), v1);
  EXPECT_EQ(main.revision(), fake_.commit);
}

TEST_F(Library, NotInherited_N5TwoRevisionsAreAContradiction) {
  const Error error = error_of("org/model:v1", {.revision = "v2"});
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("v1"));
  EXPECT_THAT(error.what(), HasSubstr("v2"));
  EXPECT_TRUE(fake_.requests().empty());
}

TEST_F(Library, AStopThatWasRequestedBeforeEndsAPull) {
  std::stop_source stop;
  stop.request_stop();
  try {
    (void)Hub().pull("org/model", {.stop_token = stop.get_token()});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_FALSE(Hub().find("org/model"));
  EXPECT_EQ(Hub().pull("org/model").commit, fake_.commit);
}

TEST_F(Library, AStopKeepsWhatCameForTheNextCall) {
  std::stop_source stop;
  const PullOptions options{.progress =
                                [&](const PullProgress& now) {
                                  if (now.file == "model.safetensors" && now.n_bytes > 300'000)
                                    stop.request_stop();
                                },
                            .stop_token = stop.get_token()};
  EXPECT_THROW((void)Hub().pull("org/model", options), Error);
  EXPECT_FALSE(Hub().find("org/model"));
  EXPECT_TRUE(Hub().list().empty());
  fake_.forget_requests();
  const HubModel model = Hub().pull("org/model");
  EXPECT_LT(fake_.n_bytes_served(), model.bytes - 250'000);
  EXPECT_TRUE(Hub().verify("org/model").empty());
}

}  // namespace
}  // namespace openllm::hub_test
