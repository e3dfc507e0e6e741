// MiniCPM3: latent attention whose RoPE turns halves, dense FFNs, and multipliers for embeddings,
// residuals and logits. Source: transformers models/minicpm3.

#include <cmath>

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_latent_network(config,
                                       {.vocab_size = 73448,
                                        .hidden_size = 2560,
                                        .n_layers = 62,
                                        .n_kv_heads = 40,
                                        .ffn_dim = 6400,
                                        .max_positions = 32768,
                                        .norm_eps = 1e-5,
                                        .tied = true},
                                       {.n_heads = 40,
                                        .q_rank = 768,
                                        .kv_rank = 256,
                                        .rope_dim = 32,
                                        .nope_dim = 64,
                                        .value_dim = 0,
                                        .interleaved = false});
  for (LayerSpec& layer : spec.layers) {
    auto& attention = std::get<LatentAttentionSpec>(layer.mixer);
    const double q_dim = attention.nope_dim + attention.rope_dim;
    attention.scale = static_cast<float>(1.0 / std::sqrt(q_dim));  // whatever mscale says
  }
  spec.embedding.scale = static_cast<float>(config.positive_or("scale_emb", 12.0));
  const double depth = std::sqrt(static_cast<double>(spec.n_layers()));
  const double given = config.mentions("scale_depth") ? depth : 1.4;
  const auto scale = static_cast<float>(config.positive_or("scale_depth", given) / depth);
  for (LayerSpec& layer : spec.layers) layer.residual.scale = scale;
  const double base = config.mentions("dim_model_base") ? spec.dim : 256.0;
  spec.head->scale = static_cast<float>(config.positive_or("dim_model_base", base) / spec.dim);
  return spec;
}

}  // namespace

Family minicpm3_family() {
  return {"minicpm3", {"minicpm3"}, {}, from_hf, nullptr, latent_layout(), {}};
}

}  // namespace openllm::model
