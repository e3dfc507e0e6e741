// Hunyuan V1, MoE: Hunyuan V1 with a mixture and a shared FFN on every layer. Source: transformers
// models/hunyuan_v1_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 290943, .norm_eps = 1e-5});
  hf::read_alpha_rope(config, spec);
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.qk_norm_after_rope = true;
  });
  for (const char* key : {"num_experts", "moe_topk"}) {
    const base::Json* value = config.find(key);
    if (value != nullptr && value->is_array())
      config.unsupported(key, "layers that differ are not supported (expected one number)");
  }
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "num_experts"}),
                    .n_experts = 1,
                    .top_k_key = config.first_of({"num_experts_per_tok", "moe_topk"}),
                    .top_k = 1,
                    .ffn_dim_key = {}});
  moe.shared = moe.expert;
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kQNorm, "layers.#.self_attn.query_layernorm"});
  layout.modules.push_back({role::kKNorm, "layers.#.self_attn.key_layernorm"});
  layout.modules.push_back({role::kRouter, "layers.#.mlp.gate.wg"});  // before "mlp.gate"
  hf::add_experts(layout);
  layout.modules.push_back({role::kSharedGate, "layers.#.mlp.shared_mlp.gate_proj"});
  layout.modules.push_back({role::kSharedUp, "layers.#.mlp.shared_mlp.up_proj"});
  layout.modules.push_back({role::kSharedDown, "layers.#.mlp.shared_mlp.down_proj"});
  return layout;
}

/// The converter stretches the base of the rope itself.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  const gguf::Members members(config, checkpoint);
  const int width = config.require_int("expert_feed_forward_length", 1, kMaxFfnDim);
  const int shared_width = config.int_or("expert_shared_feed_forward_length", width, 1, kMaxFfnDim);
  ModelSpec spec = members.read(from_hf);
  for (LayerSpec& layer : spec.layers) {
    auto& moe = std::get<MoeFfnSpec>(layer.ffn);
    moe.expert.ffn_dim = width;
    moe.shared->ffn_dim = shared_width;
  }
  return spec;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family hunyuan_v1_moe_family() {
  return {"hunyuan_v1_moe", {"hunyuan_v1_moe"}, {"hunyuan-moe"}, from_hf,
          from_gguf,        hf_layout(),        gguf_layout()};
}

}  // namespace openllm::model
