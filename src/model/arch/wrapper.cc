// Models with a text part of some family beside towers for images or sounds. Without those their
// text is computed as the family's: positions of several axes are equal then. Source: transformers
// models/llava and the like, whose language_model is made of text_config.

#include "model/arch/wrapper.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "model/blocks/head.h"

namespace openllm::model {
namespace {

struct Wrapper {
  std::string_view model_type;
  std::string_view text_type;  ///< Where the text's configuration does not say.
  std::string_view key = "text_config";
  std::string_view outer{};  ///< The member that has the key; empty: the whole configuration.
};

constexpr std::array<Wrapper, 42> kWrappers{{
    {"audioflamingo3", "qwen2"},
    {"aya_vision", "cohere2"},
    {"cohere2_vision", "cohere2"},
    {"deepseek_vl", "llama"},
    {"deepseek_vl_hybrid", "llama"},
    {"emu3", "emu3_text_model"},
    {"exaone4_5", "exaone4"},
    {"fast_vlm", "qwen2"},
    {"fuyu", "persimmon"},
    {"glm46v", "glm4v_text"},
    {"glm4v", "glm4v_text"},
    {"glmasr", "llama"},
    {"got_ocr2", "qwen2"},
    {"granite_speech", "granite"},
    {"idefics2", "mistral"},
    {"idefics3", "llama"},
    {"internvl", "qwen2"},
    {"internvl_chat", "llama", "llm_config"},
    {"kimi_k25", "deepseek_v3"},
    {"kimi_vl", "deepseek_v3"},
    {"lfm2_vl", "lfm2"},
    {"lighton_ocr", "qwen3"},
    {"llava", "llama"},
    {"llava_next", "llama"},
    {"llava_next_video", "llama"},
    {"llava_onevision", "qwen2"},
    {"ovis2", "qwen2"},
    {"perception_lm", "llama"},
    {"qwen2_5_omni", "qwen2_5_omni_text", "text_config", "thinker_config"},
    {"qwen2_5_omni_thinker", "qwen2_5_omni_text"},
    {"qwen2_5_vl", "qwen2_5_vl_text"},
    {"qwen2_audio", "qwen2"},
    {"qwen2_vl", "qwen2_vl_text"},
    {"qwen3_omni_moe", "qwen3_omni_moe_text", "text_config", "thinker_config"},
    {"qwen3_omni_moe_thinker", "qwen3_omni_moe_text"},
    {"qwen3_vl", "qwen3_vl_text"},
    {"qwen3_vl_moe", "qwen3_vl_moe_text"},
    {"smolvlm", "llama"},
    {"video_llama_3", "qwen2"},
    {"video_llava", "llama"},
    {"vipllava", "llama"},
    {"voxtral", "llama"},
}};

const Wrapper* find_wrapper(std::string_view model_type) {
  const auto* const found =
      std::find_if(kWrappers.begin(), kWrappers.end(),
                   [&](const Wrapper& wrapper) { return wrapper.model_type == model_type; });
  return found == kWrappers.end() ? nullptr : found;
}

/// Everything beside the text that such files have, with or without "model." before it.
constexpr std::string_view kOuter = "model.";
constexpr std::array<std::string_view, 25> kTowers = {
    "model.vision_tower.*",
    "model.vision_model.*",
    "model.visual.*",
    "model.multi_modal_projector.*",
    "model.connector.*",
    "model.image_newline",
    "model.audio_tower.*",
    "model.mlp1.*",
    "model.mm_projector.*",
    "model.encoder.*",
    "model.projector.*",
    "model.aligner.*",
    "model.high_res_vision_model.*",
    "model.high_res_vision_neck.*",
    "model.high_res_vision_proj.*",
    "model.high_res_vision_alpha",
    "model.vision_encoder.*",
    "model.vision_projection.*",
    "model.vision_projector.*",
    "model.image_tower.*",
    "model.video_tower.*",
    "model.visual_embeddings_table.*",
    "model.qformer.*",
    "model.vqmodel.*",
    "model.vision_embed_tokens.*",
};

}  // namespace

bool is_wrapper(std::string_view model_type) { return find_wrapper(model_type) != nullptr; }

TextPart text_part_of(std::string_view model_type, const Config& config) {
  const Wrapper* const wrapper = find_wrapper(model_type);
  const std::optional<Config> outer =
      wrapper->outer.empty() ? std::optional<Config>(config) : config.object(wrapper->outer);
  const std::optional<Config> text = outer ? outer->object(wrapper->key) : std::nullopt;
  // Older files of some have all members side by side.
  if (!text) return {std::string(wrapper->text_type), config};
  return {text->string_or("model_type", wrapper->text_type), *text};
}

void use_outer_head(ModelSpec& spec) {
  if (!spec.head) return;
  spec.head->scale = 1.0F;
  spec.head->soft_cap = 0.0F;
  spec.head->bias = false;
  // Whatever the text says; a file that has an output matrix keeps it.
  spec.head->tied = true;
}

ModuleLayout wrapped_layout(const ModuleLayout& layout) {
  ModuleLayout wrapped = layout;
  wrapped.prefixes.clear();
  for (const std::string_view prefix :
       {"thinker.model.", "language_model.model.", "model.language_model.", "model.text_model.",
        "language_model.", "text_model.", "model.language_model.model."}) {
    wrapped.prefixes.push_back(prefix);
  }
  wrapped.prefixes.insert(wrapped.prefixes.end(), layout.prefixes.begin(), layout.prefixes.end());
  for (const std::string_view part :
       {"thinker.audio_tower.*", "thinker.visual.*", "talker.*", "token2wav.*", "code2wav.*"}) {
    wrapped.ignored.push_back(part);
  }
  for (const std::string_view tower : kTowers) {
    wrapped.ignored.push_back(tower);
    wrapped.ignored.push_back(tower.substr(kOuter.size()));
  }
  return wrapped;
}

}  // namespace openllm::model
