// Gemma 3, the text part: Gemma 2 with q/k norms instead of soft caps, five windowed layers to a
// full one, and another RoPE for each kind. The vision tower of the larger ones is ignored.
// Sources: transformers models/gemma3, llama.cpp's "gemma3" architecture.

#include "model/arch/gemma.h"

namespace openllm::model {
namespace {

constexpr int kLargestLayers = 62;  // 27B
constexpr int kFullRope = 0;
constexpr int kWindowRope = 1;

/// Norms on Q and K, and the rope that goes with the layer's window.
void set_attention(ModelSpec& spec) {
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.rope = attention.window > 0 ? kWindowRope : kFullRope;
  });
}

/// Members of the rope of full layers in older files. They are laid over rope_parameters, or over a
/// default rope: their older name `type` for `rope_type` then has no effect (as transformers).
void lay_scaling_over(const Config& scaling, base::Json& rope) {
  if (rope.is_null()) rope["rope_type"] = "default";
  for (const auto& [key, value] : scaling.members()) rope[key] = value;
}

/// One of the two ropes. New files nest it in rope_parameters by layer type; older ones have
/// rope_theta and rope_scaling for full layers, rope_local_base_freq for windowed ones. Flat
/// rope_parameters are not looked at (as transformers).
void read_one_rope(const Config& config, std::string_view layer_type, std::string_view theta_key,
                   double theta, ModelSpec& spec) {
  RopeContext context;
  context.head_dim = attention_of(spec, 0).head_dim;
  context.max_positions = spec.max_positions;
  context.partial_rotary_factor = config.positive_or("partial_rotary_factor", 1.0);
  context.truncate_allowed = false;
  base::Json rope;
  std::string where = config.place("rope_parameters");
  if (const auto parameters = config.object("rope_parameters")) {
    where = parameters->place(layer_type);
    if (const auto nested = parameters->object(layer_type)) rope = nested->members();
  }
  const auto scaling = config.object("rope_scaling");
  if (scaling && layer_type == "full_attention") {
    where = config.place("rope_scaling");
    lay_scaling_over(*scaling, rope);
  }
  theta = config.positive_or(theta_key, theta);
  const Config merged(rope, where);
  hf::add_rope(spec, read_rope(rope.is_null() ? nullptr : &merged, theta, context));
}

ModelSpec read_text(const Config& config) {
  ModelSpec spec = read_gemma(config, 262208, 131072);
  hf::require_even_head_dim(config, attention_of(spec, 0).head_dim);
  read_one_rope(config, "full_attention", "rope_theta", 1000000.0, spec);
  read_one_rope(config, "sliding_attention", "rope_local_base_freq", 10000.0, spec);
  const int pattern = config.int_or("sliding_window_pattern", 6, 1, kMaxLayers);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % pattern != 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  set_attention(spec);
  // attn_logit_softcapping is in the configuration but has no effect on this architecture.
  spec.head->soft_cap = read_soft_cap(config, "final_logit_softcapping", 0.0);
  return spec;
}

/// EmbeddingGemma: rows see to both sides, half of the window each.
ModelSpec read_encoder(const Config& given) {
  constexpr std::string_view kKey = "use_bidirectional_attention";
  base::Json members = given.members();
  members[kKey] = false;
  ModelSpec spec = read_text(Config(members, given.where()));
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.sees_all = true;
    if (attention.window > 0) attention.window = attention.window / 2 + 1;
  });
  spec.head.reset();
  return spec;
}

ModelSpec from_text_config(const Config& config) {
  const base::Json* const both = config.find("use_bidirectional_attention");
  const bool sees_all = both != nullptr && both->if_bool() != nullptr && *both->if_bool();
  return sees_all ? read_encoder(config) : read_text(config);
}

ModelSpec from_hf(const Config& config) {
  const std::optional<Config> text = config.object("text_config");
  if (!text) return from_text_config(config);
  hf::refuse_unsupported(config);
  ModelSpec spec = from_text_config(*text);
  if (!spec.head) return spec;
  // The model with the vision tower has its own head: tied by the outer configuration, and without
  // the final soft cap.
  spec.head->tied = config.bool_or("tie_word_embeddings", true);
  spec.head->soft_cap = 0.0F;
  return spec;
}

/// attention.sliding_window_pattern: absent, a period, or one flag per layer.
bool is_windowed(const Config& config, int layer) {
  const base::Json* pattern = config.find("attention.sliding_window_pattern");
  if (pattern == nullptr) return (layer + 1) % 6 != 0;
  if (const base::JsonArray* flags = pattern->if_array()) {
    if (static_cast<std::size_t>(layer) >= flags->size()) {
      config.corrupt("attention.sliding_window_pattern", "too short (expected an entry for layer ",
                     layer, ", got ", flags->size(), " entries)");
    }
    const base::Json& flag = (*flags)[static_cast<std::size_t>(layer)];
    if (!flag.is_bool() && !flag.is_number()) {
      config.corrupt("attention.sliding_window_pattern",
                     "wrong element type (expected boolean, got ", flag.type_name(), ")");
    }
    return flag.is_bool() ? *flag.if_bool() : flag.as_double(config.where()) != 0.0;
  }
  const int period = config.require_int("attention.sliding_window_pattern", 1, kMaxLayers);
  return (layer + 1) % period != 0;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  ModelSpec spec = read_gemma_gguf(config, checkpoint, kLargestLayers);
  // Scaling is for the full layers; windowed ones turn unscaled with their own base.
  const RopeParameters full = gguf::read_rope(config, spec, device::RopeStyle::kHalves);
  RopeParameters windowed = full;
  windowed.type = RopeParameters::Type::kDefault;
  windowed.theta = config.positive_or("rope.freq_base_swa", 10000.0);
  gguf::add_rope(checkpoint, full, spec);
  gguf::add_rope(checkpoint, windowed, spec);
  const int window = gguf::read_window(config, 0);
  for (int i = 0; i < spec.n_layers() && window > 0; ++i) {
    if (is_windowed(config, i)) attention_of(spec, i).window = window;
  }
  set_attention(spec);
  spec.head->soft_cap = read_soft_cap(config, "final_logit_softcapping", 0.0);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = gemma_layout();
  hf::add_qk_norms(layout);
  hf::add_text_prefixes(layout);
  return layout;
}

}  // namespace

Family gemma3_family() {
  return {"gemma3",      {"gemma3", "gemma3_text"}, {"gemma3"}, from_hf, from_gguf, hf_layout(),
          gguf::layout()};
}

}  // namespace openllm::model
