#include "llm/llm_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "llm/engine_request.h"

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Sets variables of the environment for one test.
class Environment {
 public:
  void set(const char* name, const char* value) {
    ::setenv(name, value, 1);
    names_.emplace_back(name);
  }
  void unset(const char* name) { ::unsetenv(name); }
  Environment() = default;
  ~Environment() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::string> names_;
};

/// The error that one variable of the environment gives.
Error environment_error(const char* name, const char* value) {
  Environment environment;
  environment.set(name, value);
  try {
    environment_config();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << name << "=" << value << ": no error";
  return {ErrorCode::kInternal, ""};
}

TEST(LlmConfig, TakesWhatItKnowsAndIgnoresTheRest) {
  LLMConfig config;
  apply_config_json(config,
                    base::Json::parse(R"({"temperature": 0.6, "top_k": null, "eos_token_id": [2, 5],
                                          "transformers_version": "5.0", "do_sample": true})",
                                      "test"),
                    "generation_config.json");
  EXPECT_EQ(config.temperature, 0.6F);
  EXPECT_EQ(config.top_k, std::nullopt);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 5));
  apply_config_json(config, base::Json::parse(R"({"eos_token_id": -1})", "test"),
                    "one id, or none");
  EXPECT_THAT(config.eos_token_ids, ElementsAre(-1));
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
  Environment environment;
  environment.set("OPENLLM_CONFIG", R"({"top_p": 0.5, "temperature": 0.1, "max_tokens": 7})");
  environment.set("OPENLLM_GENERATION_TEMPERATURE", "0.9");
  environment.set("OPENLLM_GENERATION_TOP_K", "3");
  environment.set("OPENLLM_SAMPLING_TOP_K", "4");
  const LLMConfig config = environment_config();
  EXPECT_EQ(config.top_p, 0.5F);
  EXPECT_EQ(config.temperature, 0.9F);
  EXPECT_EQ(config.max_new_tokens, 7);
  EXPECT_EQ(config.top_k, 4);
  EXPECT_EQ(config.min_p, std::nullopt);
}

TEST(LlmConfig, UnknownNamesInTheEnvironmentAreErrorsWithTheNearestName) {
  for (const auto& [name, value] : {std::pair{"OPENLLM_CONFIG", R"({"temprature": 0.5})"},
                                    std::pair{"OPENLLM_GENERATION_TEMPRATURE", "0.5"},
                                    std::pair{"OPENLLM_SAMPLING_TEMPRATURE", "0.5"}}) {
    const Error error = environment_error(name, value);
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(error.reason(), ErrorReason::kUnknownField) << name;
    EXPECT_EQ(error.where(), "temprature") << name;
    EXPECT_THAT(error.what(), testing::StartsWith(name));
    EXPECT_THAT(error.what(), HasSubstr("did you mean temperature?"));
  }
  EXPECT_THAT(environment_error("OPENLLM_CONFIG", R"({"typoed_field": 3})").what(),
              HasSubstr("OPENLLM_CONFIG: typoed_field: there is no such field"));
}

TEST(LlmConfig, FieldsThatCannotBeHonouredAreNotIgnored) {
  for (const auto& [name, value] : {std::pair{"OPENLLM_GENERATION_NUM_BEAMS", "4"},
                                    std::pair{"OPENLLM_CONFIG", R"({"use_cache": false})"},
                                    std::pair{"OPENLLM_SAMPLING_SEED", "4"}}) {
    const Error error = environment_error(name, value);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << name;
    EXPECT_EQ(error.reason(), ErrorReason::kUnsupportedField) << name;
  }
  Environment environment;
  environment.set("OPENLLM_GENERATION_NUM_BEAMS", "1");
  environment.set("OPENLLM_GENERATION_SEED", "-1");  // a random one, as anyway
  environment.set("OPENLLM_CONFIG", R"({"use_cache": true, "length_penalty": 1.0})");
  EXPECT_NO_THROW(environment_config());
}

TEST(LlmConfig, ValuesOfTheEnvironmentAreBlamedOnIt) {
  EXPECT_THAT(environment_error("OPENLLM_GENERATION_TEMPERATURE", "-3").what(),
              testing::StartsWith("OPENLLM_GENERATION_TEMPERATURE: invalid value (expected"));
  for (const auto& [name, value, message] :
       {std::tuple{"OPENLLM_GENERATION_TEMPERATURE", "abc", "expected a number, got abc"},
        std::tuple{"OPENLLM_SAMPLING_TOP_K", "0x5", "expected an integer, got 0x5"},
        std::tuple{"OPENLLM_GENERATION_TOP_P", "\"0.5\"", "expected a number, got \"0.5\""},
        std::tuple{"OPENLLM_GENERATION_TOP_P", "0.5 ,", "expected a number, got 0.5 ,"},
        std::tuple{"OPENLLM_GENERATION_EOS_TOKEN_ID", "two",
                   "expected a list of token ids, got two"},
        std::tuple{"OPENLLM_GENERATION_TOP_K", "[1]", "expected integer, got array"},
        std::tuple{"OPENLLM_GENERATION_MAX_TOKENS", "1e300", "expected -1 to 2147483647, got"}}) {
    EXPECT_THAT(environment_error(name, value).what(),
                testing::StartsWith(std::string(name) + ": "));
    EXPECT_THAT(environment_error(name, value).what(), HasSubstr(message));
  }
  for (const char* name : {"OPENLLM_GENERATION_", "OPENLLM_SAMPLING_FOO"})
    EXPECT_EQ(environment_error(name, "abc").reason(), ErrorReason::kUnknownField) << name;
  EXPECT_THAT(
      environment_error("OPENLLM_CONFIG", R"({"max_tokens": 5, "max_new_tokens": 6})").what(),
      HasSubstr("given twice"));
  EXPECT_THAT(environment_error("OPENLLM_CONFIG", "[]").what(), HasSubstr("expected object"));
}

TEST(LlmConfig, HigherLayersWinFieldByField) {
  const auto with = [](float temperature) {
    LLMConfig config;
    config.temperature = temperature;
    return config;
  };
  ConfigLayers layers{with(0.1F), with(0.2F), with(0.3F), with(0.4F)};
  layers.family.top_k = 7;  // a field that no other layer has
  layers.model.eos_token_ids = {2};
  GenerateOptions request{.temperature = 0.5F};
  const auto chosen = [&] {
    return make_engine_request(request, resolve_config(layers), false, 100, nullptr).sampling;
  };
  EXPECT_EQ(chosen().temperature, 0.5F);
  request.temperature.reset();
  EXPECT_EQ(chosen().temperature, 0.4F);
  layers.load.temperature.reset();
  EXPECT_EQ(chosen().temperature, 0.3F);
  layers.environment.temperature.reset();
  EXPECT_EQ(chosen().temperature, 0.2F);
  layers.model.temperature.reset();
  EXPECT_EQ(chosen().temperature, 0.1F);
  layers.family.temperature.reset();
  EXPECT_EQ(chosen().temperature, 1.0F);
  EXPECT_EQ(chosen().top_k, 7);
  EXPECT_THAT(resolve_config(layers).eos_token_ids, ElementsAre(2));
  EXPECT_EQ(resolve_config({}).max_new_tokens, 20);
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
  EXPECT_TRUE(fails([](LLMConfig& c) { c.max_new_tokens = -2; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.temperature = -0.1F; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.temperature = NAN; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.top_p = 1.5F; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.top_p = NAN; }));
  EXPECT_TRUE(fails([](LLMConfig& c) { c.repetition_penalty = 0.0F; }));
  EXPECT_FALSE(fails([](LLMConfig& c) { c.temperature = 2.0F; }));
}

}  // namespace
}  // namespace openllm::llm
