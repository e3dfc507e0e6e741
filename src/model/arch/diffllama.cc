// DiffLlama: llama with differential attention. Source: transformers models/diffllama.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// What attention takes away at first, by the number of the layer.
float lambda_base(int layer) {
  return static_cast<float>(0.8 - 0.6 * std::exp(-0.3 * static_cast<double>(layer)));
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(
      config,
      {.hidden_size = 2048, .n_layers = 16, .n_heads = 32, .ffn_dim = 8192, .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  const SelfAttentionSpec heads = attention_of(spec, 0);
  if (heads.n_kv_heads % 2 != 0 || heads.n_heads % 2 != 0) {
    config.unsupported("num_key_value_heads", "heads come in pairs (expected an even number, got ",
                       heads.n_kv_heads, ")");
  }
  DifferentialAttentionSpec attention;
  attention.n_heads = heads.n_heads;
  attention.n_kv_heads = heads.n_kv_heads;
  attention.head_dim = heads.head_dim;
  attention.rope = heads.rope;
  attention.scale = heads.scale;
  attention.bias = config.bool_or("attention_bias", false);
  for (int i = 0; i < spec.n_layers(); ++i) {
    attention.lambda_base = lambda_base(i);
    spec.layers[static_cast<std::size_t>(i)].mixer = attention;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kLambdaQ1, "layers.#.self_attn.lambda_q1"});
  layout.modules.push_back({role::kLambdaK1, "layers.#.self_attn.lambda_k1"});
  layout.modules.push_back({role::kLambdaQ2, "layers.#.self_attn.lambda_q2"});
  layout.modules.push_back({role::kLambdaK2, "layers.#.self_attn.lambda_k2"});
  return layout;
}

}  // namespace

Family diffllama_family() {
  return {"diffllama", {"diffllama"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
