// Command A and R7B: Command R with a window on three of four layers, which alone have RoPE.
// Source: transformers models/cohere2.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 256000,
                                                .hidden_size = 8192,
                                                .n_layers = 40,
                                                .n_heads = 64,
                                                .ffn_dim = 22528,
                                                .max_positions = 8192,
                                                .tied = true});
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  spec.norm.has_bias = false;
  hf::read_single_rope(config, spec, {.style = device::RopeStyle::kInterleaved});
  hf::read_attention_bias(config, spec);
  const int pattern = config.int_or("sliding_window_pattern", 4, 1, kMaxLayers);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % pattern != 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    if (attention.window == 0) attention.rope = -1;
  });
  spec.head->scale = static_cast<float>(config.positive_or("logit_scale", 0.0625));
  for (LayerSpec& layer : spec.layers) {
    layer.residual.parallel = true;
    layer.residual.shared_norm = true;
  }
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.sliding_window", "sliding_window");
  return members.read(from_hf);
}

}  // namespace

Family cohere2_family() {
  return {"cohere2",
          {"cohere2"},
          {"cohere2"},
          from_hf,
          from_gguf,
          hf::llama_layout(),
          gguf::layout_with({}, {role::kFfnNorm})};
}

}  // namespace openllm::model
