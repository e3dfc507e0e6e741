// EXAONE 4: llama with norms behind attention and FFN instead of before them and norms on the heads
// of Q and K; the large one has a window on three of four layers, which alone have RoPE. Source:
// transformers models/exaone4.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(
      config, {.vocab_size = 102400, .n_kv_heads = 32, .ffn_dim = 16384, .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  hf::use_norms_after(spec);
  const std::optional<int> window = hf::read_window(config);
  if (!window) return spec;
  hf::read_layer_types(config, spec, window, hf::read_window_pattern(config, spec.n_layers(), 4));
  each_attention(spec, [](SelfAttentionSpec& attention) {
    if (attention.window == 0) attention.rope = -1;
  });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::norms_after_layout();
  hf::add_qk_norms(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("sliding_window", nullptr).leave({"attention.sliding_window", "rope.freq_base_swa"});
  ModelSpec spec = members.read(from_hf);
  const int window = gguf::read_window(config, 0);
  if (window == 0) return spec;
  const double base = config.positive_or("rope.freq_base", 10000.0);
  if (config.positive_or("rope.freq_base_swa", base) != base)
    config.unsupported("rope.freq_base_swa", "one base for all layers alone (expected ", base, ")");
  const std::vector<bool> windowed = gguf::read_windowed_layers(config, spec.n_layers(), 4);
  for (int i = 0; i < spec.n_layers(); ++i) {
    SelfAttentionSpec& attention = attention_of(spec, i);
    if (windowed[static_cast<std::size_t>(i)]) {
      attention.window = window;
    } else {
      attention.rope = -1;
    }
  }
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kMixerPostNorm, "blk.#.post_attention_norm"},
                            {role::kFfnPostNorm, "blk.#.post_ffw_norm"}},
                           {role::kMixerNorm, role::kFfnNorm});
}

}  // namespace

Family exaone4_family() {
  return {"exaone4", {"exaone4"}, {"exaone4"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
