// MiniMax M2: norms on whole rows of Q and K, RoPE on a part of each head, a mixture by sigmoid
// with a correction on every layer. Source: transformers models/minimax_m2.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 200064,
                                                .hidden_size = 3072,
                                                .n_layers = 62,
                                                .n_heads = 48,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 1536,
                                                .max_positions = 196608});
  const int head_dim = attention_of(spec, 0).head_dim;
  const int n_rotary = config.int_or("rotary_dim", head_dim, 2, head_dim);
  hf::read_single_rope(config, spec,
                       {.theta = 5000000.0, .partial = static_cast<double>(n_rotary) / head_dim});
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kWholeRow; });
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}),
                    .n_experts = 256,
                    .ffn_dim_key = {}});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router_correction = true;
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  const std::vector<ModuleName> own = {
      {role::kRouter, "layers.#.block_sparse_moe.gate"},
      {role::kRouterCorrection, "layers.#.block_sparse_moe.e_score_correction_bias"},
      {role::kRouterCorrection, "layers.#.mlp.e_score_correction_bias"},
      {role::kExpertGate, "layers.#.block_sparse_moe.experts.@.w1"},
      {role::kExpertUp, "layers.#.block_sparse_moe.experts.@.w3"},
      {role::kExpertDown, "layers.#.block_sparse_moe.experts.@.w2"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("rope.dimension_count", "rotary_dim");
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({}, {role::kGate, role::kUp, role::kDown});
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family minimax_m2_family() {
  return {"minimax_m2", {"minimax_m2"}, {"minimax-m2"}, from_hf,
          from_gguf,    hf_layout(),    gguf_layout()};
}

}  // namespace openllm::model
