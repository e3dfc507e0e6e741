#include "llm/llm_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "fields/access.h"
#include "llm/engine_request.h"
#include "llm/test_environment.h"

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

TEST(LlmConfig, OfTwoLengthsTheUpperLayerDecidesAndOneLayerHasOne) {
  // Nobody can mend a model's file: as transformers does it.
  LLMConfig model;
  apply_config_json(model,
                    base::Json::parse(R"({"max_length": 9, "max_new_tokens": 5, "min_length": 3,
                                          "min_new_tokens": 2})",
                                      "test"),
                    "generation_config.json");
  EXPECT_EQ(model, (LLMConfig{.max_new_tokens = 5, .min_new_tokens = 2}));
  Environment environment;
  environment.set("OPENLLM_CONFIG", R"({"max_new_tokens": 7})");
  environment.set("OPENLLM_GENERATION_MAX_LENGTH", "99");
  const LLMConfig above = environment_config();
  EXPECT_EQ(above, LLMConfig{.max_length = 99}) << "the later source of the two";
  const LLMConfig config = resolve_config({.model = model, .environment = above});
  EXPECT_EQ(config.max_length, 99);
  EXPECT_EQ(config.max_new_tokens, std::nullopt);
  EXPECT_EQ(resolve_config({.load = config}), config) << "it is a layer again";
  EXPECT_EQ(resolve_config({.environment = above, .load = {.max_new_tokens = 3}}).max_length,
            std::nullopt);
  environment.unset("OPENLLM_GENERATION_MAX_LENGTH");
  const Error error =
      environment_error("OPENLLM_CONFIG", R"({"min_length": 1, "llm_config": {"min_tokens": 2}})");
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.where(), "min_length");
  EXPECT_STREQ(error.what(),
               "OPENLLM_CONFIG: min_length: given beside min_new_tokens (expected one of the two)");
}

TEST(LlmConfig, LayersTakeBackWhatThoseBelowSay) {
  const LLMConfig model{.suppress_tokens = {4}, .stop = {"a"}, .logprobs = 2, .timeout = {}};
  Environment environment;
  environment.set("OPENLLM_CONFIG", R"({"stop": [], "suppress_tokens": [5]})");
  environment.set("OPENLLM_SAMPLING_LOGPROBS", "false");
  const LLMConfig above = environment_config();
  EXPECT_THAT(above.cleared, ElementsAre("stop", "logprobs"));
  const LLMConfig config = resolve_config({.model = model, .environment = above});
  EXPECT_THAT(config.stop, testing::IsEmpty());
  EXPECT_THAT(config.suppress_tokens, ElementsAre(5));
  EXPECT_EQ(config.logprobs, std::nullopt);
  EXPECT_THAT(config.cleared, testing::IsEmpty()) << "nothing is below";
  // It survives JSON.
  const LLMConfig again = LLMConfig::model_construct_env(above.model_dump_json());
  EXPECT_THAT(again.cleared, testing::UnorderedElementsAre("stop", "logprobs"));
  // A request takes a value back that the environment has, and has one again.
  GenerateOptions none;
  none.cleared = {"suppress_tokens", "temperature"};
  LLMConfig warm = config;
  warm.temperature = 0.5F;
  const LLMConfig merged = merge_request(warm, none);
  EXPECT_THAT(merged.suppress_tokens, testing::IsEmpty());
  EXPECT_EQ(merged.temperature, 1.0F) << "as without any configuration";
  EXPECT_THAT(merged.cleared, testing::IsEmpty());
  none.suppress_tokens = std::vector<std::int32_t>{6};
  EXPECT_THAT(merge_request(config, none).suppress_tokens, ElementsAre(6));
  EXPECT_EQ(environment_error("OPENLLM_CONFIG", R"({"stop": [], "stop_sequences": ["a"]})").code(),
            ErrorCode::kInvalidArgument)
      << "twice";
}

TEST(LlmConfig, TakesListsAndLengthsOfTransformers) {
  LLMConfig config;
  const base::Json json = base::Json::parse(
      R"({"max_length": 4096, "no_repeat_ngram_size": 3, "typical_p": 0.5, "bad_words_ids": [[7], [8, 9]],
          "sequence_bias": [[[1, 2], -0.5]], "suppress_tokens": [], "begin_suppress_tokens": [220, 3],
          "forced_bos_token_id": 0, "forced_eos_token_id": 2,
          "exponential_decay_length_penalty": [15, 1.5]})",
      "test");
  apply_config_json(config, json, "generation_config.json");
  EXPECT_EQ(config.max_length, 4096);
  EXPECT_EQ(config.no_repeat_ngram_size, 3);
  EXPECT_EQ(config.typical_p, 0.5F);
  EXPECT_THAT(config.bad_words_ids, ElementsAre(ElementsAre(7), ElementsAre(8, 9)));
  EXPECT_EQ(config.sequence_bias.at({1, 2}), -0.5F);
  EXPECT_THAT(config.suppress_tokens, testing::IsEmpty());
  EXPECT_THAT(config.begin_suppress_tokens, ElementsAre(220, 3));
  EXPECT_EQ(config.forced_bos_token_id, 0);
  EXPECT_THAT(config.forced_eos_token_id, ElementsAre(2));
  EXPECT_EQ(config.exponential_decay_length_penalty->factor, 1.5F);

  Environment environment;
  environment.set("OPENLLM_GENERATION_BAD_WORDS_IDS", "[[4, 5]]");
  environment.set("OPENLLM_GENERATION_MAX_NEW_TOKENS", "9");
  const LLMConfig above = environment_config();
  const LLMConfig both = resolve_config({.model = config, .environment = above});
  EXPECT_THAT(both.bad_words_ids, ElementsAre(ElementsAre(4, 5)));
  EXPECT_EQ(both.max_new_tokens, 9);  // instead of the file's max_length
  EXPECT_EQ(both.max_length, std::nullopt);
  EXPECT_STREQ(environment_error("OPENLLM_GENERATION_BAD_WORDS_IDS", "cat").what(),
               "OPENLLM_GENERATION_BAD_WORDS_IDS: invalid value (expected lists of token ids, got "
               "cat)");
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

TEST(LlmConfig, NoSamplingInTheEnvironmentMeansGreedy) {
  for (const auto& [name, value] :
       {std::pair{"OPENLLM_CONFIG", R"({"do_sample": false, "temperature": 0.6})"},
        std::pair{"OPENLLM_GENERATION_DO_SAMPLE", "false"}}) {
    Environment environment;
    environment.set(name, value);
    EXPECT_EQ(environment_config().temperature, 0.0F) << name;
  }
  Environment environment;
  environment.set("OPENLLM_CONFIG", R"({"do_sample": true, "temperature": 0.6})");
  EXPECT_EQ(environment_config().temperature, 0.6F);
}

TEST(LlmConfig, EmptyVariablesSayNothing) {
  {
    Environment environment;
    environment.set("OPENLLM_CONFIG", R"({"temperature": null, "no_such_field": null})");
    EXPECT_EQ(environment_config().temperature, std::nullopt);
  }
  Environment environment;
  for (const char* name : {"OPENLLM_CONFIG", "OPENLLM_GENERATION_TOP_K", "OPENLLM_SAMPLING_MIN_P",
                           "OPENLLM_GENERATION_NO_SUCH_FIELD"})
    environment.set(name, "");
  const LLMConfig config = environment_config();
  EXPECT_EQ(config.top_k, std::nullopt);
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
  for (const auto& [name, value] : {std::pair{"OPENLLM_GENERATION_RENORMALIZE_LOGITS", "true"},
                                    std::pair{"OPENLLM_CONFIG", R"({"use_cache": false})"},
                                    std::pair{"OPENLLM_SAMPLING_PRIORITY", "4"}}) {
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
    return make_engine_request(request, resolve_config(layers), false, {100, 100}, nullptr)
        .sampling;
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

/// A value of the row that differs from those of the layers beside it.
base::Json value_of_layer(const fields::Field& field, int layer) {
  switch (field.type) {
    case fields::Type::kBoolean: {
      const bool initial = fields::get(field, fields::initial_config()).as_bool(field.name);
      return layer % 2 == 0 ? initial : !initial;
    }
    case fields::Type::kEarlyStopping:
      return layer % 2 == 0 ? base::Json(true) : base::Json("never");
    case fields::Type::kNumber:
      return layer / 8.0;
    case fields::Type::kSeconds:
      return layer * 2.0;
    case fields::Type::kTexts:
      return base::Json(base::JsonArray{base::Json(std::to_string(layer))});
    case fields::Type::kTokenIds:
    case fields::Type::kTokenIdOrIds:
      return base::Json(base::JsonArray{base::Json(layer), base::Json(7)});
    case fields::Type::kTokenNumbers:
      return base::Json::parse(base::cat("{\"", layer, "\":1.5}"), "value");
    case fields::Type::kTokenLists:
      return base::Json::parse(base::cat("[[", layer, "]]"), "value");
    case fields::Type::kListNumbers:
      return base::Json::parse(base::cat("[[[", layer, "],1.5]]"), "value");
    case fields::Type::kLengthDecay:
      return base::Json::parse(base::cat("[", layer, ",1.5]"), "value");
    default:
      return layer + 1;
  }
}

TEST(LlmConfig, OfSixLayersTheTopmostThatHasAFieldDecides) {
  int n_fields = 0;
  for (const fields::Field& field : fields::all()) {
    if (!fields::has_config(field)) continue;
    ++n_fields;
    ConfigLayers layers;
    LLMConfig* const lower[] = {&layers.family, &layers.model, &layers.environment, &layers.load};
    GenerateOptions plain{.output_kind = OutputKind::kFinalOnly};
    if (field.name == "num_beam_groups") plain.num_beams = 60;  // which all of them divide
    GenerateOptions request = plain;
    for (int i = 0; i < 4; ++i) fields::set(field, *lower[i], value_of_layer(field, i + 1), "test");
    fields::set(field, request, value_of_layer(field, 5), "test", field.range);
    const auto winner = [&] {
      return fields::get(field, merge_request(resolve_config(layers), request));
    };
    EXPECT_EQ(winner(), value_of_layer(field, 5)) << field.name;
    request = plain;
    for (int i = 4; i > 0; --i) {
      EXPECT_EQ(winner(), value_of_layer(field, i)) << field.name;
      *lower[i - 1] = {};
    }
    EXPECT_EQ(winner(), fields::get(field, fields::initial_config())) << field.name;
  }
  EXPECT_GE(n_fields, 40);
}

TEST(LlmConfig, ModelsFilesSetWhatTransformersHasAndNothingElse) {
  LLMConfig config;
  apply_config_json(config,
                    base::Json::parse(R"({"num_return_sequences":3,"max_time":1.5,"n":9,
      "stop":7,"seed":"x","timeout":[],"logprobs":"no","ignore_eos":3,"presence_penalty":1.5,
      "transformers_version":"5"})",
                                      "test"),
                    "file");
  EXPECT_EQ(config.n, 3);
  EXPECT_EQ(config.timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(config.presence_penalty, 1.5F);
  LLMConfig expected{.presence_penalty = 1.5F, .n = 3};
  expected.timeout = std::chrono::milliseconds(1500);
  EXPECT_EQ(config, expected);
}

TEST(LlmConfig, TheEnvironmentSetsWhatRequestsHave) {
  Environment environment;
  environment.set("OPENLLM_CONFIG", R"({"generation_config": {"num_return_sequences": 2},
      "sampling_config": {"ignore_eos": true}, "llm_config": {"timeout": 2}})");
  environment.set("OPENLLM_SAMPLING_STOP", "###");
  environment.set("OPENLLM_GENERATION_STOP_TOKEN_IDS", "[4,5]");
  environment.set("OPENLLM_SAMPLING_BAD_WORDS", R"(["a","b"])");
  environment.set("OPENLLM_SAMPLING_SEED", "7");
  environment.set("OPENLLM_SAMPLING_SKIP_SPECIAL_TOKENS", "false");
  const LLMConfig config = environment_config();
  EXPECT_EQ(config.n, 2);
  EXPECT_EQ(config.ignore_eos, true);
  EXPECT_EQ(config.timeout, std::chrono::seconds(2));
  EXPECT_THAT(config.stop, ElementsAre("###"));
  EXPECT_THAT(config.stop_token_ids, ElementsAre(4, 5));
  EXPECT_THAT(config.bad_words, ElementsAre("a", "b"));
  EXPECT_EQ(config.seed, 7U);
  EXPECT_EQ(config.skip_special_tokens, false);
  environment.set("OPENLLM_SAMPLING_STOP", "42");
  EXPECT_THAT(environment_config().stop, ElementsAre("42")) << "a text, whatever it looks like";
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
