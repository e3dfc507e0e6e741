#include "llm/family_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "base/error.h"
#include "format/test_files.h"
#include "llm/engine_request.h"
#include "llm/test_environment.h"
#include "openllm/llm.h"

namespace openllm::llm {
namespace {

using format::testing::TempFolder;
using testing::ElementsAre;

FamilyDefaults family_of(const std::string& config_json) {
  const TempFolder folder;
  folder.write("config.json", config_json);
  return family_defaults(format::open_model(folder.path()));
}

std::string by_type(const std::string& type, const std::string& more = "") {
  return std::string(family_of(base::cat(R"({"model_type":")", type, "\"", more, "}")).name);
}
std::string by_architecture(const std::string& name) {
  return std::string(family_of(base::cat(R"({"architectures":[")", name, "\"]}")).name);
}

TEST(FamilyDefaults, FamiliesAreFoundByTypeAndByArchitecture) {
  for (const auto& [family, type, architecture] :
       {std::tuple{"baichuan", "baichuan", "BaichuanForCausalLM"},
        std::tuple{"chatglm", "chatglm", "ChatGLMModel"},
        std::tuple{"gpt-neox", "gpt_neox", "GPTNeoXForCausalLM"},
        std::tuple{"falcon", "falcon", "FalconForCausalLM"},
        std::tuple{"falcon", "RefinedWebModel", "RWForCausalLM"},
        std::tuple{"flan-t5", "t5", "T5ForConditionalGeneration"},
        std::tuple{"llama", "llama", "LlamaForCausalLM"},
        std::tuple{"mistral", "mistral", "MistralForCausalLM"},
        std::tuple{"mixtral", "mixtral", "MixtralForCausalLM"},
        std::tuple{"mpt", "mpt", "MPTForCausalLM"}, std::tuple{"opt", "opt", "OPTForCausalLM"},
        std::tuple{"phi", "phi", "PhiForCausalLM"}, std::tuple{"qwen", "qwen", "QWenLMHeadModel"},
        std::tuple{"starcoder", "gpt_bigcode", "GPTBigCodeForCausalLM"},
        std::tuple{"yi", "Yi", "YiForCausalLM"}, std::tuple{"", "qwen3", "Qwen3ForCausalLM"}}) {
    EXPECT_EQ(by_type(type), family);
    EXPECT_EQ(by_architecture(architecture), family);
    EXPECT_EQ(by_type("their_own", base::cat(R"(,"architectures":[")", architecture, "\"]")),
              family);
  }
  EXPECT_EQ(by_type("llama", R"(,"architectures":["MistralForCausalLM"])"), "llama")
      << "the type comes first";
  EXPECT_EQ(by_type("their_own"), "");
  EXPECT_EQ(family_of("{}").config, LLMConfig{});
}

TEST(NotInherited, N14FamiliesOfOneArchitectureAreToldApart) {
  constexpr const char* kNeoX = "gpt_neox";
  EXPECT_EQ(by_type(kNeoX, R"(,"vocab_size":50280,"max_position_embeddings":2048)"), "dolly-v2");
  EXPECT_EQ(by_type(kNeoX, R"(,"vocab_size":50254,"custom_pipelines":{})"), "dolly-v2");
  EXPECT_EQ(by_type(kNeoX, R"(,"vocab_size":50432,"max_position_embeddings":4096)"), "stablelm");
  EXPECT_EQ(by_type(kNeoX, R"(,"vocab_size":50432,"max_position_embeddings":2048)"), "gpt-neox");
}

/// The sixteen rows, as OpenLLM 0.4 has them.
TEST(FamilyDefaults, EachFamilyHasItsDefaults) {
  const auto of = [](const char* type, const char* more = "") {
    return family_of(base::cat(R"({"model_type":")", type, "\"", more, "}")).config;
  };
  const LLMConfig chinese{.max_new_tokens = 2048, .temperature = 0.95F, .top_p = 0.7F};
  for (const char* type : {"baichuan", "chatglm", "qwen"}) EXPECT_EQ(of(type), chinese) << type;
  LLMConfig dolly{.max_new_tokens = 256, .temperature = 0.9F, .top_k = 5, .top_p = 0.92F};
  dolly.eos_token_ids = {50277};
  EXPECT_EQ(of("gpt_neox", R"(,"vocab_size":50280)"), dolly);
  EXPECT_EQ(of("falcon"), (LLMConfig{.max_new_tokens = 200, .top_k = 10}));
  EXPECT_EQ(of("t5"),
            (LLMConfig{.max_new_tokens = 2048, .temperature = 0.9F, .top_k = 50, .top_p = 0.4F}));
  EXPECT_EQ(of("gpt_neox"), (LLMConfig{.max_new_tokens = 100, .temperature = 0.9F}));
  EXPECT_EQ(of("llama"), (LLMConfig{.max_new_tokens = 128,
                                    .temperature = 0.6F,
                                    .top_k = 12,
                                    .top_p = 0.9F,
                                    .presence_penalty = 0.5F}));
  EXPECT_EQ(of("mistral"), (LLMConfig{.max_new_tokens = 256,
                                      .temperature = 0.7F,
                                      .top_k = 40,
                                      .top_p = 0.95F,
                                      .presence_penalty = 0.5F}));
  EXPECT_EQ(of("mixtral"), (LLMConfig{.max_new_tokens = 20, .temperature = 0.7F}));
  EXPECT_EQ(of("mpt"), (LLMConfig{.max_new_tokens = 128, .temperature = 0.0F, .top_p = 0.8F}));
  EXPECT_EQ(of("opt"), (LLMConfig{.max_new_tokens = 256, .temperature = 0.75F, .top_k = 15}));
  EXPECT_EQ(of("phi"), (LLMConfig{.max_new_tokens = 200}));
  EXPECT_EQ(of("gpt_neox", R"(,"max_position_embeddings":4096)"),
            (LLMConfig{.max_new_tokens = 128, .temperature = 0.9F, .top_k = 0, .top_p = 0.9F}));
  EXPECT_EQ(of("gpt_bigcode"), (LLMConfig{.max_new_tokens = 256,
                                          .min_new_tokens = 32,
                                          .temperature = 0.2F,
                                          .top_k = 50,
                                          .top_p = 0.95F,
                                          .repetition_penalty = 1.2F}));
  EXPECT_EQ(of("Yi"), (LLMConfig{.max_new_tokens = 256,
                                 .temperature = 0.7F,
                                 .top_k = 40,
                                 .top_p = 0.9F,
                                 .repetition_penalty = 1.3F,
                                 .presence_penalty = 0.5F,
                                 .no_repeat_ngram_size = 5}));
}

/// Three fields of different type, in every layer that a model has; the layers go one by one.
TEST(FamilyDefaults, OfSixLayersTheTopmostThatHasAFieldDecides) {
  const TempFolder folder;
  folder.write("config.json", R"({"model_type":"gpt_neox","vocab_size":50280})");  // dolly-v2
  folder.write("generation_config.json", R"({"temperature":0.2,"top_k":2,"eos_token_id":[2,22]})");
  LoadOptions load;
  load.config = {.temperature = 0.4F, .top_k = 4, .eos_token_ids = {4}};
  GenerateOptions request{.temperature = 0.5F, .top_k = 1};
  request.eos_token_ids = std::vector<std::int32_t>{1};
  const auto expect = [&](float temperature, int top_k, const std::vector<std::int32_t>& eos) {
    const LLMConfig merged = merge_request(LLM(folder.path(), load).config(), request);
    EXPECT_EQ(merged.temperature, temperature);
    EXPECT_EQ(merged.top_k, top_k);
    EXPECT_EQ(merged.eos_token_ids, eos);
  };
  {
    Environment environment;
    environment.set("OPENLLM_CONFIG", R"({"temperature":0.3,"top_k":3})");
    environment.set("OPENLLM_GENERATION_EOS_TOKEN_ID", "3");
    expect(0.5F, 1, {1});
    request = {};
    expect(0.4F, 4, {4});
    load.config = {};
    expect(0.3F, 3, {3});
  }
  expect(0.2F, 2, {2, 22});
  folder.write("generation_config.json", "{}");
  expect(0.9F, 5, {50277});
  folder.write("config.json", R"({"model_type":"their_own"})");
  expect(1.0F, 50, {});
}

TEST(FamilyDefaults, AFieldOfTheModelsFileIsNotTouched) {
  const TempFolder folder;
  folder.write("config.json", R"({"model_type":"llama"})");
  folder.write("generation_config.json", R"({"presence_penalty":0.0,"max_length":77})");
  const LLMConfig config = LLM(folder.path()).config();
  EXPECT_EQ(config.presence_penalty, 0.0F);
  EXPECT_EQ(config.max_length, 77) << "stands for max_new_tokens";
  EXPECT_EQ(config.top_k, 12) << "the family's";
}

}  // namespace
}  // namespace openllm::llm
