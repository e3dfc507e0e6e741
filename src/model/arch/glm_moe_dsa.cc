// GLM-5: DeepSeek-V3.2 with other sizes, some of whose layers choose keys as the layer before did.
// Up to index_topk positions every key is chosen, which is what runs here. Source: transformers
// models/glm_moe_dsa.

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec =
      read_latent_network(config,
                          {.vocab_size = 154880,
                           .hidden_size = 6144,
                           .n_layers = 78,
                           .n_kv_heads = 64,
                           .ffn_dim = 12288,
                           .max_positions = 202752,
                           .norm_eps = 1e-5},
                          {.n_heads = 64, .q_rank = 2048, .nope_dim = 192, .value_dim = 256});
  const MoeFfnSpec moe = read_deepseek3_moe(config, spec, 256, 2048, 2.5, 1, 1);
  finish_sparse_network(config, spec, moe);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return read_sparse_gguf(config, checkpoint).read(from_hf);
}

}  // namespace

Family glm_moe_dsa_family() {
  return {"glm_moe_dsa",       {"glm_moe_dsa"},
          {"glm-dsa"},         from_hf,
          from_gguf,           sparse_layout("layers.78.*"),
          sparse_gguf_layout()};
}

}  // namespace openllm::model
