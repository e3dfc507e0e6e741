// Command R: LayerNorm without biases, attention and FFN side by side behind one norm, RoPE that
// turns neighbours, scaled logits; the larger one has norms on Q and K with weights of its own for
// every head. Source: transformers models/cohere.

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
  hf::read_single_rope(config, spec, {.theta = 500000.0, .style = device::RopeStyle::kInterleaved});
  hf::read_attention_bias(config, spec);
  if (config.bool_or("use_qk_norm", false)) {
    each_attention(spec,
                   [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kEachHead; });
  }
  spec.head->scale = static_cast<float>(config.positive_or("logit_scale", 0.0625));
  for (LayerSpec& layer : spec.layers) {
    layer.residual.parallel = true;
    layer.residual.shared_norm = true;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("use_qk_norm", members.has_tensor("blk.0.attn_q_norm.weight"));
  return members.read(from_hf);
}

}  // namespace

Family cohere_family() {
  return {"cohere",
          {"cohere"},
          {"command-r"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({}, {role::kFfnNorm})};
}

}  // namespace openllm::model
