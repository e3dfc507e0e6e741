// StableLM 2 and 3B: llama with LayerNorm, RoPE on the first quarter of each head; the largest has
// a LayerNorm with weights of its own for every head of Q and K, and attention and FFN side by
// side. Source: transformers models/stablelm.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304,
                                                .hidden_size = 2560,
                                                .n_kv_heads = 32,
                                                .ffn_dim = 6912,
                                                .max_positions = 4096});
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  hf::set_attention_biases(spec, config.bool_or("use_qkv_bias", false), false);
  if (config.bool_or("qk_layernorm", false)) {
    NormSpec norm = spec.norm;
    norm.has_bias = false;
    each_attention(spec, [&](SelfAttentionSpec& attention) {
      attention.qk_norm = QkNorm::kEachHead;
      attention.qk_norm_spec = norm;
    });
  }
  hf::read_single_rope(config, spec, {.partial = 0.25});
  const bool parallel = config.bool_or("use_parallel_residual", false);
  for (LayerSpec& layer : spec.layers) {
    layer.residual.parallel = parallel;
    layer.residual.shared_norm = parallel;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kQNorm, "layers.#.self_attn.q_layernorm.norms.@"});
  layout.modules.push_back({role::kKNorm, "layers.#.self_attn.k_layernorm.norms.@"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("qk_layernorm", members.has_tensor("blk.0.attn_q_norm.weight"));
  return members.read(from_hf);
}

}  // namespace

Family stablelm_family() {
  return {"stablelm", {"stablelm"}, {"stablelm"}, from_hf, from_gguf, hf_layout(), gguf::layout()};
}

}  // namespace openllm::model
