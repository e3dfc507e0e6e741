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
};

constexpr std::array<Wrapper, 36> kWrappers{{
    {"audioflamingo3", "qwen2"},
    {"aya_vision", "cohere2"},
    {"cohere2_vision", "cohere2"},
    {"deepseek_vl", "llama"},
    {"deepseek_vl_hybrid", "llama"},
    {"exaone4_5", "exaone4"},
    {"fast_vlm", "qwen2"},
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
    {"qwen2_5_vl", "qwen2_5_vl_text"},
    {"qwen2_audio", "qwen2"},
    {"qwen2_vl", "qwen2_vl_text"},
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

/// Everything beside the text that such files have.
constexpr std::array<std::string_view, 31> kTowers = {
    "vision_tower.*",
    "vision_model.*",
    "visual.*",
    "multi_modal_projector.*",
    "connector.*",
    "image_newline",
    "audio_tower.*",
    "mlp1.*",
    "mm_projector.*",
    "encoder.*",
    "projector.*",
    "aligner.*",
    "high_res_vision_model.*",
    "high_res_vision_neck.*",
    "high_res_vision_proj.*",
    "high_res_vision_alpha",
    "vision_encoder.*",
    "vision_projection.*",
    "vision_projector.*",
    "image_tower.*",
    "video_tower.*",
    "visual_embeddings_table.*",
    "model.vision_tower.*",
    "model.vision_model.*",
    "model.visual.*",
    "model.multi_modal_projector.*",
    "model.connector.*",
    "model.image_newline",
    "model.audio_tower.*",
    "model.encoder.*",
    "model.projector.*",
};

}  // namespace

bool is_wrapper(std::string_view model_type) { return find_wrapper(model_type) != nullptr; }

TextPart text_part_of(std::string_view model_type, const Config& config) {
  const Wrapper* const wrapper = find_wrapper(model_type);
  const std::optional<Config> text = config.object(wrapper->key);
  // Older files of some have all members side by side.
  if (!text) return {std::string(wrapper->text_type), config};
  return {text->string_or("model_type", wrapper->text_type), *text};
}

void use_outer_head(const Config& config, ModelSpec& spec) {
  if (!spec.head) return;
  spec.head->scale = 1.0F;
  spec.head->soft_cap = 0.0F;
  spec.head->bias = false;
  // A file that has an output matrix all the same keeps it.
  spec.head->tied = spec.head->tied || config.bool_or("tie_word_embeddings", false);
}

ModuleLayout wrapped_layout(const ModuleLayout& layout) {
  ModuleLayout wrapped = layout;
  wrapped.prefixes.clear();
  for (const std::string_view prefix :
       {"language_model.model.", "model.language_model.", "model.text_model.", "language_model.",
        "text_model.", "model.language_model.model."}) {
    wrapped.prefixes.push_back(prefix);
  }
  wrapped.prefixes.insert(wrapped.prefixes.end(), layout.prefixes.begin(), layout.prefixes.end());
  wrapped.ignored.insert(wrapped.ignored.end(), kTowers.begin(), kTowers.end());
  return wrapped;
}

}  // namespace openllm::model
