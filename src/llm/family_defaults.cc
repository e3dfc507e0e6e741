// Source: the generation defaults of OpenLLM 0.4's model classes. Left out is what cannot be
// honoured (falcon's four beams) and what describes a model (starcoder's padding token).

#include "llm/family_defaults.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string>

namespace openllm::llm {
namespace {

/// Whether a configuration is that of one family among those that share its key.
using Is = bool (*)(const base::Json& config);

std::optional<std::int64_t> integer(const base::Json& config, std::string_view key) {
  const base::Json* value = config.find(key);
  const std::int64_t* number = value == nullptr ? nullptr : value->if_int();
  return number == nullptr ? std::nullopt : std::optional(*number);
}

/// Dolly 2 is Pythia with three tokens more, of which one ends its answers, and brings a pipeline.
bool is_dolly(const base::Json& config) {
  constexpr std::int64_t kVocabulary = 50280;
  return integer(config, "vocab_size") == kVocabulary || config.find("custom_pipelines") != nullptr;
}

/// The first StableLMs are GPT-NeoX with twice its context.
bool is_stablelm_alpha(const base::Json& config) {
  constexpr std::int64_t kContext = 4096;
  return integer(config, "max_position_embeddings") == kContext ||
         integer(config, "gptneox.context_length") == kContext;
}

/// The ways by which a family is recognised.
struct Key {
  std::string_view family;
  /// Values of model_type and of general.architecture, in small letters.
  std::array<std::string_view, 3> types{};
  std::array<std::string_view, 2> architectures{};
  Is is = nullptr;  ///< Of families that share a key, all but the last have one.
};

constexpr std::string_view kNeoX = "GPTNeoXForCausalLM";

constexpr Key kKeys[] = {
    {"baichuan", {"baichuan"}, {"BaichuanForCausalLM", "BaiChuanForCausalLM"}},
    {"chatglm", {"chatglm"}, {"ChatGLMModel", "ChatGLMForConditionalGeneration"}},
    {"dolly-v2", {"gpt_neox", "gptneox"}, {kNeoX}, is_dolly},
    {"stablelm", {"gpt_neox", "gptneox"}, {kNeoX}, is_stablelm_alpha},
    {"gpt-neox", {"gpt_neox", "gptneox"}, {kNeoX}},
    {"falcon", {"falcon", "refinedweb", "refinedwebmodel"}, {"FalconForCausalLM", "RWForCausalLM"}},
    {"flan-t5", {"t5"}, {"T5ForConditionalGeneration"}},
    {"llama", {"llama"}, {"LlamaForCausalLM", "LLaMAForCausalLM"}},
    {"mistral", {"mistral"}, {"MistralForCausalLM"}},
    {"mixtral", {"mixtral"}, {"MixtralForCausalLM"}},
    {"mpt", {"mpt"}, {"MPTForCausalLM", "MptForCausalLM"}},
    {"opt", {"opt"}, {"OPTForCausalLM"}},
    {"phi", {"phi", "phi-msft", "phi2"}, {"PhiForCausalLM"}},
    {"qwen", {"qwen"}, {"QWenLMHeadModel"}},
    {"starcoder", {"gpt_bigcode", "starcoder"}, {"GPTBigCodeForCausalLM"}},
    {"yi", {"yi"}, {"YiForCausalLM"}},
};

/// In the order of kKeys.
LLMConfig config_of(std::string_view family) {
  struct Row {
    std::string_view family;
    LLMConfig config;
  };
  const Row rows[] = {
      {"baichuan", {.max_new_tokens = 2048, .temperature = 0.95F, .top_p = 0.7F}},
      {"chatglm", {.max_new_tokens = 2048, .temperature = 0.95F, .top_p = 0.7F}},
      {"dolly-v2",
       {.max_new_tokens = 256,
        .temperature = 0.9F,
        .top_k = 5,
        .top_p = 0.92F,
        .eos_token_ids = {50277}}},
      {"stablelm", {.max_new_tokens = 128, .temperature = 0.9F, .top_k = 0, .top_p = 0.9F}},
      {"gpt-neox", {.max_new_tokens = 100, .temperature = 0.9F}},
      {"falcon", {.max_new_tokens = 200, .top_k = 10}},
      {"flan-t5", {.max_new_tokens = 2048, .temperature = 0.9F, .top_k = 50, .top_p = 0.4F}},
      {"llama",
       {.max_new_tokens = 128,
        .temperature = 0.6F,
        .top_k = 12,
        .top_p = 0.9F,
        .presence_penalty = 0.5F}},
      {"mistral",
       {.max_new_tokens = 256,
        .temperature = 0.7F,
        .top_k = 40,
        .top_p = 0.95F,
        .presence_penalty = 0.5F}},
      {"mixtral", {.max_new_tokens = 20, .temperature = 0.7F}},
      {"mpt", {.max_new_tokens = 128, .temperature = 0.0F, .top_p = 0.8F}},
      {"opt", {.max_new_tokens = 256, .temperature = 0.75F, .top_k = 15}},
      {"phi", {.max_new_tokens = 200}},
      {"qwen", {.max_new_tokens = 2048, .temperature = 0.95F, .top_p = 0.7F}},
      {"starcoder",
       {.max_new_tokens = 256,
        .min_new_tokens = 32,
        .temperature = 0.2F,
        .top_k = 50,
        .top_p = 0.95F,
        .repetition_penalty = 1.2F}},
      {"yi",
       {.max_new_tokens = 256,
        .temperature = 0.7F,
        .top_k = 40,
        .top_p = 0.9F,
        .repetition_penalty = 1.3F,
        .presence_penalty = 0.5F,
        .no_repeat_ngram_size = 5}},
  };
  for (const Row& row : rows) {
    if (row.family == family) return row.config;
  }
  return {};
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

template <typename Names>
bool contains(const Names& names, std::string_view name) noexcept {
  return !name.empty() && std::find(names.begin(), names.end(), name) != names.end();
}

template <typename Matches>
FamilyDefaults find(const base::Json& config, Matches matches) {
  for (const Key& key : kKeys) {
    if (matches(key) && (key.is == nullptr || key.is(config)))
      return {key.family, config_of(key.family)};
  }
  return {};
}

std::string text_of(const base::Json* value) {
  const std::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : *text;
}

/// The first of `architectures`.
std::string architecture_of(const base::Json& config) {
  const base::Json* list = config.find("architectures");
  const base::JsonArray* names = list == nullptr ? nullptr : list->if_array();
  return names == nullptr || names->empty() ? std::string() : text_of(names->data());
}

}  // namespace

FamilyDefaults family_defaults(const format::ModelSource& source) {
  const base::Json& config = source.config;
  const std::string type = lower(source.architecture);
  FamilyDefaults found = find(config, [&](const Key& key) { return contains(key.types, type); });
  if (!found.name.empty()) return found;
  const std::string architecture = architecture_of(config);
  return find(config, [&](const Key& key) { return contains(key.architectures, architecture); });
}

}  // namespace openllm::llm
