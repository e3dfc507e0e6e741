#pragma once

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {

/// What a family with latent attention fills in when config.json leaves it out. Those of
/// DeepSeek-V3 unless the family says otherwise.
struct LatentDefaults {
  int n_heads = 128;
  int q_rank = 1536;  ///< 0: queries come straight from the input.
  int kv_rank = 512;
  int rope_dim = 64;
  int nope_dim = 128;
  int value_dim = 128;  ///< 0: hidden_size / n_heads.
  bool interleaved = true;
};

/// Sizes, rope and latent attention of networks in DeepSeek's style; FFNs stay dense.
ModelSpec read_latent_network(const Config& config, const hf::Defaults& family,
                              const LatentDefaults& latent);
/// DeepSeek-V3's mixture with those defaults, not yet placed.
MoeFfnSpec read_deepseek3_moe(const Config& config, const ModelSpec& spec, int n_experts,
                              int ffn_dim, double scale, int n_groups, int top_groups);
/// Names of latent attention beside llama's.
ModuleLayout latent_layout();
/// The same with mixtures and shared experts.
ModuleLayout deepseek_layout();
/// Mixtures behind the first layers, and as many positions as queries choose keys: up to so many
/// sparse attention sees every key.
void finish_sparse_network(const Config& config, ModelSpec& spec, MoeFfnSpec moe);
/// The names without the indexer's, and without those of layers that predict further tokens.
ModuleLayout sparse_layout(std::string_view prediction);
/// What GGUF calls the sizes of latent attention.
void read_latent_gguf(const Config& config, gguf::Members& members);
/// The same with the number of keys that queries choose.
gguf::Members read_sparse_gguf(const Config& config, const format::Checkpoint& checkpoint);
/// Those of latent_gguf_layout without the indexer's.
ModuleLayout sparse_gguf_layout();
/// Names of all of these in GGUF.
ModuleLayout latent_gguf_layout();

}  // namespace openllm::model
