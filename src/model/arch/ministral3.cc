// Ministral 3: Mistral whose queries grow with the position. Mistral 3 and Mistral Small 3, the
// text part: this or Mistral beside a vision tower, which is ignored. Source: transformers
// models/ministral3, mistral3.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// What a file without any rope has.
RopeParameters default_rope() {
  RopeParameters rope;
  rope.type = RopeParameters::Type::kYarn;
  rope.theta = 1000000.0;
  rope.factor = 16.0;
  rope.original_positions = 16384;
  rope.mscale = 1.0;
  rope.mscale_all_dim = 1.0;
  return rope;
}

void read_query_scale(const Config& config, ModelSpec& spec) {
  device::PositionScale scale{.beta = 0.1F, .length = 16384.0F};
  if (hf::names_rope(config)) {
    std::optional<Config> rope = config.object("rope_scaling");
    if (!rope || rope->empty()) rope = config.object("rope_parameters");
    scale.beta = static_cast<float>(rope->not_negative_or("llama_4_scaling_beta", 0.0));
    scale.length = static_cast<float>(
        rope->positive_or("original_max_position_embeddings", spec.max_positions));
  }
  if (scale.beta == 0.0F) return;
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.query_scale = scale; });
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 131072,
                                                .n_layers = 34,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 14336,
                                                .max_positions = 262144,
                                                .norm_eps = 1e-5});
  read_query_scale(config, spec);
  if (hf::names_rope(config)) {
    hf::read_single_rope(config, spec);
  } else {
    hf::use_rope(config, spec, default_rope());
  }
  if (const std::optional<int> window = config.find_int("sliding_window", 1, kMaxPositions)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  return spec;
}

ModelSpec from_mistral(const Config& config) {
  ModelSpec spec =
      hf::read_llama_like(config, {.n_kv_heads = 8, .ffn_dim = 14336, .max_positions = 4096 * 32});
  hf::read_single_rope(config, spec);
  if (const std::optional<int> window = hf::read_window(config)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  return spec;
}

ModelSpec from_wrapper(const Config& config) {
  const std::optional<Config> text = config.object("text_config");
  if (!text) config.corrupt("text_config", "missing (expected an object)");
  const std::string type = text->string_or("model_type", "mistral");
  if (type != "mistral" && type != "ministral3") {
    text->unsupported("model_type", "unknown text part (expected mistral or ministral3, got ", type,
                      ")");
  }
  ModelSpec spec = type == "mistral" ? from_mistral(*text) : from_hf(*text);
  spec.head->tied = config.bool_or("tie_word_embeddings", true);
  return spec;
}

ModuleLayout wrapper_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_text_prefixes(layout);
  return layout;
}

/// Both are written under one name.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("sliding_window", nullptr).leave({"attention.temperature_scale"});
  ModelSpec spec = members.read(from_mistral, gguf::Members::Heads::kPaired);
  if (config.has("rope.scaling.yarn_log_multiplier")) {
    // mscale and mscale_all_dim are equal, so that attention keeps its scale.
    RopeParameters rope = gguf::read_rope(config, spec, device::RopeStyle::kInterleaved);
    rope.attention_factor = 1.0;
    spec.ropes.clear();
    gguf::add_rope(checkpoint, rope, spec);
  }
  const double beta = config.not_negative_or("attention.temperature_scale", 0.0);
  if (beta == 0.0) return spec;
  const device::PositionScale scale{.beta = static_cast<float>(beta),
                                    .length = static_cast<float>(config.require_int(
                                        "rope.scaling.original_context_length", 1, kMaxPositions))};
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.query_scale = scale; });
  return spec;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family ministral3_family() {
  return {"ministral3", {"ministral3"},     {"mistral3"}, from_hf,
          from_gguf,    hf::llama_layout(), gguf_layout()};
}

Family mistral3_family() {
  return {"mistral3", {"mistral3"}, {}, from_wrapper, nullptr, wrapper_layout(), {}};
}

}  // namespace openllm::model
