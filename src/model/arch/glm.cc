// GLM-4 as of 2024: llama with one gate-and-up, biases on Q, K and V, RoPE that turns neighbours in
// the first half of each head. Source: transformers models/glm.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151552,
                                                .n_layers = 40,
                                                .n_kv_heads = 2,
                                                .head_dim = 128,
                                                .ffn_dim = 13696,
                                                .max_positions = 131072,
                                                .norm_eps = 0.00000015625});
  hf::set_attention_biases(spec, config.bool_or("attention_bias", true), false);
  hf::read_single_rope(config, spec, {.style = device::RopeStyle::kInterleaved, .partial = 0.5});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kGateUp, "layers.#.mlp.gate_up_proj"});
  layout.modules.push_back({role::kDown, "layers.#.mlp.down_proj"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  if (members.has_tensor("blk.0.attn_qkv.weight") && !config.has("attention.key_length")) {
    members.set("head_dim", config.require_int("embedding_length", 1, kMaxDim) /
                                config.require_int("attention.head_count", 1, kMaxHeads));
  }
  return members.read(from_hf);
}

}  // namespace

Family glm_family() {
  return {"glm",
          {"glm"},
          {"chatglm"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"},  // of files made from ChatGLM
                             {role::kGateUp, "blk.#.ffn_up"},
                             {role::kDown, "blk.#.ffn_down"}},
                            {role::kGate, role::kUp})};
}

}  // namespace openllm::model
