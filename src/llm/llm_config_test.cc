#include "llm/llm_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LlmConfig, TakesWhatItKnowsAndIgnoresTheRest) {
  LLMConfig config;
  apply_config_json(config,
                    base::Json::parse(R"({"temperature": 0.6, "top_k": null, "eos_token_id": [2, 5],
                                          "transformers_version": "5.0", "do_sample": true})",
                                      "test"),
                    "generation_config.json");
  EXPECT_FLOAT_EQ(config.temperature, 0.6F);
  EXPECT_EQ(config.top_k, 50);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 5));
}

TEST(LlmConfig, NoSamplingMeansGreedy) {
  LLMConfig config;
  apply_config_json(config,
                    base::Json::parse(R"({"do_sample": false, "temperature": 0.6})", "test"), "x");
  EXPECT_EQ(config.temperature, 0.0F);
}

TEST(LlmConfig, WrongTypesNameTheField) {
  LLMConfig config;
  try {
    apply_config_json(config, base::Json::parse(R"({"top_k": "many"})", "test"),
                      "generation_config.json");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(
        error.what(),
        HasSubstr("generation_config.json: top_k: wrong type (expected integer, got string)"));
  }
}

TEST(LlmConfig, EnvironmentOverridesFieldByField) {
  ::setenv("OPENLLM_CONFIG", R"({"top_p": 0.5, "temperature": 0.1})", 1);
  ::setenv("OPENLLM_GENERATION_TEMPERATURE", "0.9", 1);
  LLMConfig config;
  apply_config_environment(config);
  ::unsetenv("OPENLLM_CONFIG");
  ::unsetenv("OPENLLM_GENERATION_TEMPERATURE");
  EXPECT_FLOAT_EQ(config.top_p, 0.5F);
  EXPECT_FLOAT_EQ(config.temperature, 0.9F);
}

TEST(LlmConfig, RangesAreChecked) {
  const auto fails = [](void (*change)(LLMConfig&)) {
    LLMConfig config;
    change(config);
    try {
      check_config(config, "test");
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidArgument;
    }
    return false;
  };
  EXPECT_TRUE(fails([](LLMConfig& c) { c.max_new_tokens = -1; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.temperature = -0.1F; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.temperature = NAN; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.top_p = 1.5F; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.top_p = NAN; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.repetition_penalty = 0.0F; }));
  EXPECT_FALSE(fails([](LLMConfig& c) { c.temperature = 2.0F; }));
}

}  // namespace
}  // namespace openllm::llm
