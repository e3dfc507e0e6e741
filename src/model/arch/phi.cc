// Phi 1 and 2: LayerNorm, attention and FFN side by side behind one norm, biases everywhere, the
// head's too, RoPE on the first half of each head. Source: transformers models/phi.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 51200,
                                                .hidden_size = 2048,
                                                .n_layers = 24,
                                                .ffn_dim = 8192,
                                                .activation = "gelu_new"});
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  if (config.bool_or("qk_layernorm", false)) {
    each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  }
  hf::read_single_rope(config, spec, {.partial = 0.5});
  spec.head->bias = true;
  for (LayerSpec& layer : spec.layers) {
    layer.residual.parallel = true;
    layer.residual.shared_norm = true;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules = {
      {role::kEmbedding, "embed_tokens"},
      {role::kFinalNorm, "final_layernorm"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "layers.#.input_layernorm"},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kQNorm, "layers.#.self_attn.q_layernorm"},
      {role::kKNorm, "layers.#.self_attn.k_layernorm"},
      {role::kAttentionOutput, "layers.#.self_attn.dense"},
      {role::kUp, "layers.#.mlp.fc1"},
      {role::kDown, "layers.#.mlp.fc2"},
  };
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  // The size in the metadata is four times embedding_length, whatever the file has.
  if (const tensor::TensorView* up = checkpoint.find("blk.0.ffn_up.weight"))
    members.set("intermediate_size", up->shape[0]);
  return members.read(from_hf);
}

}  // namespace

Family phi_family() {
  return {"phi",
          {"phi"},
          {"phi2"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({}, {role::kGate, role::kFfnNorm})};
}

}  // namespace openllm::model
