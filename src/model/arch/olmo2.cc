// OLMo 2: llama with norms behind attention and FFN instead of before them, and norms on whole rows
// of Q and K. Source: transformers models/olmo2.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304, .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kWholeRow; });
  hf::use_norms_after(spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::norms_after_layout();
  hf::add_qk_norms(layout);
  return layout;
}

/// OLMo 3 is written under this name too: windows on most layers, whose RoPE is not stretched.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.leave({"attention.sliding_window", "rope.freq_base_swa"});
  ModelSpec spec = members.read(from_hf);
  const int window = gguf::read_window(config, 0);
  if (window == 0) return spec;
  RopeParameters rope;
  rope.head_dim = attention_of(spec, 0).head_dim;
  rope.n_rotary = rope.head_dim;
  rope.max_positions = spec.max_positions;
  rope.theta = config.positive_or("rope.freq_base_swa", config.positive_or("rope.freq_base", 1e4));
  const int windowed_rope = hf::add_rope(spec, rope);
  const std::vector<bool> windowed = gguf::read_windowed_layers(config, spec.n_layers(), 4);
  for (int i = 0; i < spec.n_layers(); ++i) {
    if (!windowed[static_cast<std::size_t>(i)]) continue;
    attention_of(spec, i).window = window;
    attention_of(spec, i).rope = windowed_rope;
  }
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kMixerPostNorm, "blk.#.post_attention_norm"},
                            {role::kFfnPostNorm, "blk.#.post_ffw_norm"}},
                           {role::kMixerNorm, role::kFfnNorm});
}

}  // namespace

Family olmo2_family() {
  return {"olmo2", {"olmo2"}, {"olmo2"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
