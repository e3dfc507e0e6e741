// MiniCPM3: latent attention whose RoPE turns halves, dense FFNs, and multipliers for embeddings,
// residuals and logits. Source: transformers models/minicpm3.

#include <cmath>

#include "model/arch/deepseek.h"
#include "model/arch/gguf_members.h"

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

/// Factors of embeddings and sums are not in the file: they are those of the one model there is.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const int rope_dim = config.require_int("rope.dimension_count", 2, kMaxHeadDim);
  members.set("qk_rope_head_dim", rope_dim)
      .set("qk_nope_head_dim",
           config.require_int("attention.key_length", rope_dim + 1, kMaxHeadDim) - rope_dim)
      .set("q_lora_rank", nullptr)
      .copy("attention.q_lora_rank", "q_lora_rank")
      .copy("attention.kv_lora_rank", "kv_lora_rank")
      .set("num_key_value_heads", nullptr);
  for (const std::string_view name : {"rope_factors_long.weight", "rope_factors_short.weight"}) {
    if (!members.has_tensor(name)) continue;
    base::fail_at(ErrorCode::kUnsupported, config.where(), "tensor ", name,
                  ": factors of RoPE are not read from GGUF for this architecture");
  }
  return members.read(from_hf);
}

}  // namespace

Family minicpm3_family() {
  return {"minicpm3", {"minicpm3"},    {"minicpm3"},        from_hf,
          from_gguf,  latent_layout(), latent_gguf_layout()};
}

}  // namespace openllm::model
