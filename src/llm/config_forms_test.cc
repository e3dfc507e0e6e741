// LLMConfig in its other forms, and requests made of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "fields/access.h"
#include "fields/body.h"
#include "llm/engine_request.h"
#include "llm/llm_config.h"
#include "llm/test_environment.h"
#include "openllm/options.h"

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

template <typename Run>
Error error_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, "no error"};
}

Error attrs_error(const char* attrs) {
  return error_of([&] { (void)LLMConfig::model_construct_env(attrs); });
}

/// Every field that a configuration may have, with a value that is no default.
LLMConfig full_config() {
  LLMConfig config{.max_new_tokens = 3,
                   .min_new_tokens = 2,
                   .max_length = 900,
                   .min_length = 1,
                   .temperature = 0.7F,
                   .top_k = 7,
                   .top_p = 0.3F,
                   .min_p = 0.1F,
                   .typical_p = 0.6F,
                   .epsilon_cutoff = 0.01F,
                   .eta_cutoff = 0.02F,
                   .repetition_penalty = 1.1F,
                   .presence_penalty = -0.2F,
                   .frequency_penalty = 0.4F,
                   .no_repeat_ngram_size = 4};
  config.bad_words_ids = {{1, 2}, {3}};
  config.sequence_bias = {{{1, 2}, 0.7F}};
  config.suppress_tokens = {4};
  config.begin_suppress_tokens = {5};
  config.forced_bos_token_id = 6;
  config.forced_eos_token_id = {7};
  config.exponential_decay_length_penalty = LengthDecay{3, 1.3F};
  config.eos_token_ids = {8, 9};
  config.n = 2;
  config.best_of = 5;
  config.num_beams = 6;
  config.num_beam_groups = 3;
  config.diversity_penalty = 0.5F;
  config.length_penalty = 0.7F;
  config.early_stopping = EarlyStopping::kNever;
  config.seed = 11;
  config.logit_bias = {{3, -0.7F}};
  config.allowed_token_ids = {1, 2, 3};
  config.bad_words = {"bad"};
  config.stop = {"x", "y"};
  config.stop_token_ids = {12};
  config.include_stop_in_output = true;
  config.ignore_eos = true;
  config.logprobs = 2;
  config.prompt_logprobs = 1;
  config.skip_special_tokens = false;
  config.spaces_between_special_tokens = false;
  config.clean_up_tokenization_spaces = true;
  config.stream_interval = 3;
  config.truncate_prompt = true;
  config.timeout = std::chrono::milliseconds(1234);
  return config;
}

TEST(ConfigForms, TheFullOneHasEveryField) {
  const LLMConfig config = full_config();
  for (const fields::Field& field : fields::all()) {
    if (!fields::has_config(field)) continue;
    EXPECT_FALSE(fields::get(field, config).is_null()) << field.name;
    EXPECT_NE(fields::get(field, config), fields::get(field, fields::initial_config()))
        << field.name;
  }
}

TEST(ConfigForms, JsonGoesThereAndBack) {
  LLMConfig total = full_config();
  total.max_new_tokens.reset();
  total.min_new_tokens.reset();
  LLMConfig of_answer = full_config();
  of_answer.max_length.reset();
  of_answer.min_length.reset();
  const LLMConfig none{.cleared = {"max_length", "stop"}};
  for (const LLMConfig& config :
       {LLMConfig{}, total, of_answer, none, LLMConfig{.temperature = 0.1F}}) {
    EXPECT_EQ(LLMConfig::model_construct_env(config.model_dump_json()), config);
    EXPECT_EQ(LLMConfig::model_construct_env(config.model_dump_json(true)), config);
  }
  LLMConfig config{.temperature = 0.7F, .presence_penalty = 0.5F, .n = 2};
  config.stop = {"."};
  EXPECT_EQ(config.model_dump_json(),
            R"({"generation_config":{"temperature":0.7,"num_return_sequences":2},)"
            R"("presence_penalty":0.5,"stop":["."]})");
  EXPECT_EQ(config.model_dump_json(true),
            R"({"temperature":0.7,"presence_penalty":0.5,"n":2,"stop":["."]})");
  EXPECT_NE(config, (LLMConfig{.temperature = 0.7F, .presence_penalty = 0.5F}));
}

TEST(ConfigForms, AttributesGoOverTheEnvironment) {
  Environment environment;
  environment.set("OPENLLM_CONFIG", R"({"temperature": 0.1, "top_k": 1, "n": 4, "top_p": 0.1})");
  environment.set("OPENLLM_GENERATION_TOP_K", "2");
  environment.set("OPENLLM_SAMPLING_N", "5");
  const LLMConfig config = LLMConfig::model_construct_env(
      R"({"temperature": null, "generation_config": {"top_p": 0.5}, "sampling_config": null,
          "llm_config": {"stop": ["a"], "generation_config": {"max_tokens": 9}}})");
  LLMConfig expected{.max_new_tokens = 9, .temperature = 0.1F, .top_k = 2, .top_p = 0.5F, .n = 5};
  expected.stop = {"a"};
  EXPECT_EQ(config, expected);
  EXPECT_EQ(LLMConfig::model_construct_env(R"({"do_sample": false})").temperature, 0.0F);
}

TEST(NotInherited, N12UnknownKeysAreErrors) {
  for (const char* attrs :
       {R"({"temprature": 1})", R"({"generation_config": {"temprature": 1}})",
        R"({"sampling_config": {"temprature": 1}})", R"({"llm_config": {"temprature": 1}})"}) {
    const Error error = attrs_error(attrs);
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << attrs;
    EXPECT_EQ(error.reason(), ErrorReason::kUnknownField) << attrs;
    EXPECT_THAT(error.what(), HasSubstr("did you mean temperature?")) << attrs;
  }
  EXPECT_THAT(attrs_error(R"({"generation_config": {"temprature": 1}})").what(),
              StartsWith("attrs_json: generation_config: temprature: "));
}

TEST(ConfigForms, TwoValuesForOneFieldAreAnError) {
  for (const char* attrs :
       {R"({"max_new_tokens": 5, "max_tokens": 5})", R"({"n": 1, "num_return_sequences": 1})",
        R"({"top_k": 5, "generation_config": {"top_k": 5}})", R"({"top_k": 5, "top_k": 5})"}) {
    EXPECT_EQ(attrs_error(attrs).code(), ErrorCode::kInvalidArgument) << attrs;
    EXPECT_THAT(attrs_error(attrs).what(), HasSubstr("given twice")) << attrs;
  }
}

TEST(ConfigForms, WrongAttributesAreToldWithTheirPlace) {
  for (const auto& [attrs, message] :
       {std::pair{"[]", "attrs_json: wrong type"}, std::pair{"{", "attrs_json: invalid JSON"},
        std::pair{R"({"generation_config": 3})", "attrs_json: generation_config: wrong type"},
        std::pair{R"({"top_p": 2})", "attrs_json: top_p: invalid value (expected 0 to 1, got 2)"},
        std::pair{R"({"do_sample": 1})", "attrs_json: do_sample: wrong type"}}) {
    EXPECT_EQ(attrs_error(attrs).code(), ErrorCode::kInvalidArgument) << attrs;
    EXPECT_THAT(attrs_error(attrs).what(), StartsWith(message));
  }
}

TEST(NotInherited, N15NoFieldIsAcceptedAndIgnored) {
  for (const char* attrs : {R"({"penalty_alpha": 0.5})", R"({"use_beam_search": true})",
                            R"({"generation_config": {"output_scores": true}})",
                            R"({"sampling_config": {"use_beam_search": true}})"}) {
    EXPECT_EQ(attrs_error(attrs).code(), ErrorCode::kUnsupported) << attrs;
    EXPECT_EQ(attrs_error(attrs).reason(), ErrorReason::kUnsupportedField) << attrs;
  }
  EXPECT_EQ(LLMConfig::model_construct_env(R"({"penalty_alpha": 0, "use_cache": true})"),
            LLMConfig{});
}

TEST(NotInherited, N10APartialConfigurationStaysOne) {
  const LLMConfig patch = LLMConfig::model_construct_env(R"({"top_k": 3})");
  EXPECT_EQ(patch, LLMConfig{.top_k = 3});
  ConfigLayers layers;
  layers.model = {.temperature = 0.25F, .top_k = 9};
  layers.load = patch;
  EXPECT_EQ(resolve_config(layers).temperature, 0.25F) << "the layer below, not a default";
  EXPECT_EQ(resolve_config(layers).top_k, 3);
}

TEST(ConfigForms, ResolvedHasEveryDefault) {
  const LLMConfig config = LLMConfig{.top_k = 3}.resolved();
  EXPECT_EQ(config.top_k, 3);
  EXPECT_EQ(config.max_new_tokens, 20);
  EXPECT_EQ(config.n, 1);
  EXPECT_EQ(config.skip_special_tokens, true);
  EXPECT_EQ(config.stream_interval, 1);
  EXPECT_EQ(config.logprobs, std::nullopt);
  EXPECT_EQ(config, config.resolved());
}

TEST(ConfigForms, FieldsAreFoundByName) {
  const LLMConfig config{.temperature = 0.7F, .n = 3};
  EXPECT_EQ(config["temperature"], "0.7");
  EXPECT_EQ(config["num_return_sequences"], "3");
  EXPECT_EQ(config["max_tokens"], "20") << "the default";
  EXPECT_EQ(config["skip_special_tokens"], "true");
  EXPECT_EQ(config["seed"], "null");
  EXPECT_EQ(config["num_beams"], "1");
  EXPECT_THAT(error_of([&] { (void)config["temprature"]; }).what(),
              HasSubstr("did you mean temperature?"));
  for (const char* name : {"__config__", "GenerationConfig", "request_id", ""})
    EXPECT_EQ(error_of([&] { (void)config[name]; }).code(), ErrorCode::kInvalidArgument) << name;
}

TEST(ConfigForms, GenerationConfigHasItsDefaultsAndOurFields) {
  EXPECT_EQ(LLMConfig{}.to_generation_config(), (GenerationConfig{.min_new_tokens = 0}));
  LLMConfig config = full_config();
  const GenerationConfig generation = config.to_generation_config();
  EXPECT_EQ(generation.max_new_tokens, 3);
  EXPECT_EQ(generation.max_length, 900);
  EXPECT_EQ(generation.min_new_tokens, std::nullopt) << "min_length stands for it";
  EXPECT_EQ(generation.num_return_sequences, 2);
  EXPECT_EQ(generation.max_time, std::chrono::milliseconds(1234));
  EXPECT_THAT(generation.eos_token_id, ElementsAre(8, 9));
  EXPECT_EQ(generation.exponential_decay_length_penalty, (LengthDecay{3, 1.3F}));
}

TEST(ConfigForms, SamplingParamsAreWhatTheEngineGets) {
  EXPECT_EQ(LLMConfig{}.to_sampling_config(), (SamplingParams{.max_tokens = 20, .top_k = 50}));
  const SamplingParams params = full_config().to_sampling_config();
  EXPECT_EQ(params.max_tokens, 3);
  EXPECT_EQ(params.best_of, 5);
  EXPECT_EQ(params.seed, 11U);
  EXPECT_TRUE(params.include_stop_str_in_output);
  const SamplingParams greedy = LLMConfig{.temperature = 1e-5F, .top_p = 0.5F}.to_sampling_config();
  EXPECT_EQ(greedy.temperature, 0.0F);
  EXPECT_EQ(greedy.top_p, 1.0F);
  const SamplingParams warm = LLMConfig{.temperature = 2e-5F, .top_p = 0.5F}.to_sampling_config();
  EXPECT_EQ(warm.top_p, 0.5F);
  const engine::Request request = make_engine_request(
      {.temperature = 1e-6F, .top_p = 0.5F}, LLMConfig{}.resolved(), false, {100, 100}, nullptr);
  EXPECT_EQ(request.sampling.temperature, 0.0F);
  EXPECT_EQ(request.sampling.top_p, 1.0F);
}

TEST(NotInherited, N9TemperaturesAboveOneAreTaken) {
  EXPECT_EQ(LLMConfig::model_construct_env(R"({"temperature": 1.8})").temperature, 1.8F);
  EXPECT_EQ(GenerateOptions::from(GenerationConfig{.temperature = 1.8F}).temperature, 1.8F);
}

TEST(NotInherited, N13EveryFieldReachesItsBackend) {
  const LLMConfig config = full_config();
  const base::Json native = base::Json::parse(config.inference_options("native"), "native");
  const base::Json pt = base::Json::parse(config.inference_options("pt"), "pt");
  for (const fields::Field& field : fields::all()) {
    if (!fields::has_config(field)) continue;
    const base::Json value = fields::get(field, config);
    ASSERT_NE(native.find(field.name), nullptr) << field.name;
    EXPECT_EQ(*native.find(field.name), value) << field.name;
    EXPECT_EQ(*pt.find(fields::transformers_name(field)), value) << field.name;
    LLMConfig one;
    fields::set(field, one, value, field.name);
    const auto options = [&] { return base::Json::parse(one.inference_options("vllm"), "vllm"); };
    if (field.at_vllm == fields::AtVllm::kLacking || field.at_vllm == fields::AtVllm::kCounted) {
      EXPECT_EQ(error_of([&] { (void)options(); }).where(), field.name);
    } else if (field.at_vllm == fields::AtVllm::kSent) {
      EXPECT_EQ(*options().find(fields::openai_name(field)), value) << field.name;
    } else {
      EXPECT_EQ(options().find(fields::openai_name(field)), nullptr) << field.name;
    }
  }
}

TEST(ConfigForms, BackendsHaveTheirNamesAndUnknownOnesAreRefused) {
  LLMConfig config{.temperature = 0.0F, .top_p = 0.5F};
  const base::Json vllm = base::Json::parse(config.inference_options("vllm"), "vllm");
  EXPECT_EQ(vllm.find("max_tokens")->dump(), "20");
  EXPECT_EQ(vllm.find("max_new_tokens"), nullptr);
  EXPECT_EQ(vllm.find("top_p")->dump(), "1.0") << "greedy";
  EXPECT_EQ(vllm.find("typical_p"), nullptr);
  config.typical_p = 1.0F;
  EXPECT_NO_THROW((void)config.inference_options("vllm")) << "off";
  const Error error = error_of([&] { (void)config.inference_options("triton"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("got triton"));
}

TEST(ConfigForms, RequestsOfStructsAskForJustThat) {
  const GenerateOptions plain = GenerateOptions::from(GenerationConfig{});
  ConfigLayers layers;
  layers.model = {.max_new_tokens = 7,
                  .min_new_tokens = 3,
                  .temperature = 0.5F,
                  .top_k = 2,
                  .no_repeat_ngram_size = 2};
  const LLMConfig merged = merge_request(resolve_config(layers), plain);
  EXPECT_EQ(merged.to_generation_config(), (GenerationConfig{.min_new_tokens = 0}));
  // And back, for every field.
  LLMConfig config = full_config();
  config.best_of.reset();
  config.max_new_tokens.reset();  // max_length stands for it
  config.min_new_tokens.reset();
  config.num_beams = config.num_beam_groups = 1;  // a search draws nothing
  const SamplingParams params = config.to_sampling_config();
  EXPECT_EQ(
      merge_request(LLMConfig{}.resolved(), GenerateOptions::from(params)).to_sampling_config(),
      params);
  const GenerationConfig generation = config.to_generation_config();
  EXPECT_EQ(merge_request(LLMConfig{}.resolved(), GenerateOptions::from(generation))
                .to_generation_config(),
            generation);
  const GenerationConfig search{.num_beams = 6, .num_beam_groups = 3, .diversity_penalty = 0.5F};
  GenerateOptions asked = GenerateOptions::from(search);
  asked.output_kind = OutputKind::kFinalOnly;
  const GenerationConfig searching =
      merge_request(LLMConfig{}.resolved(), asked).to_generation_config();
  EXPECT_EQ(searching.num_beams, 6);
  EXPECT_EQ(searching.num_beam_groups, 3);
  EXPECT_EQ(searching.diversity_penalty, 0.5F);
}

TEST(ConfigForms, StructsAskForNothingThatIsIgnored) {
  const auto refused = [](auto change) {
    GenerationConfig config;
    change(config);
    const Error error = error_of([&] { (void)GenerateOptions::from(config); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    return std::string(error.where());
  };
  using G = GenerationConfig;
  EXPECT_EQ(refused([](G& c) { c.penalty_alpha = 0.6F; }), "penalty_alpha");
  EXPECT_EQ(refused([](G& c) { c.use_cache = false; }), "use_cache");
  EXPECT_EQ(refused([](G& c) { c.force_words_ids = {{1}}; }), "force_words_ids");
  EXPECT_EQ(refused([](G& c) { c.forced_decoder_ids = {{1, 2}}; }), "forced_decoder_ids");
  EXPECT_EQ(refused([](G& c) { c.renormalize_logits = true; }), "renormalize_logits");
  EXPECT_EQ(refused([](G& c) { c.remove_invalid_values = true; }), "remove_invalid_values");
  EXPECT_EQ(refused([](G& c) { c.output_scores = true; }), "output_scores");
  EXPECT_EQ(refused([](G& c) { c.output_attentions = true; }), "output_attentions");
  EXPECT_EQ(refused([](G& c) { c.output_hidden_states = true; }), "output_hidden_states");
  EXPECT_EQ(refused([](G& c) { c.pad_token_id = 0; }), "pad_token_id");
  EXPECT_EQ(refused([](G& c) { c.bos_token_id = 0; }), "bos_token_id");
  EXPECT_EQ(refused([](G& c) { c.decoder_start_token_id = 0; }), "decoder_start_token_id");
  EXPECT_EQ(refused([](G& c) { c.encoder_repetition_penalty = 2.0F; }),
            "encoder_repetition_penalty");
  EXPECT_EQ(refused([](G& c) { c.encoder_no_repeat_ngram_size = 2; }),
            "encoder_no_repeat_ngram_size");
  EXPECT_EQ(error_of([] {
              (void)GenerateOptions::from(SamplingParams{.use_beam_search = true});
            }).where(),
            "use_beam_search");
  const Error range = error_of([] { (void)GenerateOptions::from(SamplingParams{.top_p = 2.0F}); });
  EXPECT_EQ(range.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(range.where(), "top_p");
}

TEST(ConfigForms, WhatASearchCannotDoIsNamed) {
  const auto refused = [](GenerateOptions options, OutputKind kind = OutputKind::kFinalOnly) {
    options.output_kind = kind;
    return std::string(
        error_of([&] { (void)merge_request(LLMConfig{}.resolved(), options); }).where());
  };
  EXPECT_EQ(refused({.num_beams = 4}, OutputKind::kDelta), "stream");
  EXPECT_EQ(refused({.temperature = 0.7F, .num_beams = 4}), "temperature");
  EXPECT_EQ(refused({.top_k = 3, .num_beams = 4}), "top_k");
  EXPECT_EQ(refused({.num_beams = 2, .n = 3}), "n");
  EXPECT_EQ(refused({.num_beams = 4, .best_of = 3}), "best_of");
  EXPECT_EQ(refused({.num_beams = 4, .num_beam_groups = 3}), "num_beam_groups");
  EXPECT_EQ(refused({.num_beam_groups = 2}), "num_beam_groups");
  // Defaults give way: those of drawing, and what a stream can show of a search.
  LLMConfig config = LLMConfig{}.resolved();
  config.num_beams = 4;
  config.best_of = 9;
  EXPECT_EQ(merge_request(config, {}).num_beams, 4);
  EXPECT_EQ(n_choices(merge_request(config, {.n = 2})), 2);
  EXPECT_EQ(error_of([&] { (void)merge_request(config, {.n = 5}); }).where(), "n");
}

TEST(ConfigForms, ADefaultBestOfGivesWayToTheRequestsN) {
  LLMConfig config = LLMConfig{}.resolved();
  config.best_of = 3;
  const GenerateOptions options{.n = 5, .output_kind = OutputKind::kFinalOnly};
  EXPECT_EQ(n_choices(merge_request(config, options)), 5);
  EXPECT_EQ(n_choices(merge_request(config, {.output_kind = OutputKind::kFinalOnly})), 3);
  EXPECT_EQ(error_of([&] { (void)merge_request(config, {}); }).where(), "best_of") << "a stream";
}

}  // namespace
}  // namespace openllm::llm
