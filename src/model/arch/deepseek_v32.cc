// DeepSeek-V3.2: DeepSeek-V3 whose queries see the index_topk keys that an indexer chooses. Up to
// so many positions these are all of them, which is what runs here: longer texts are beyond the
// model's positions, and the indexer is left out. Source: transformers models/deepseek_v32.

#include <algorithm>
#include <utility>

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_latent_network(config,
                                       {.vocab_size = 129280,
                                        .hidden_size = 7168,
                                        .n_layers = 61,
                                        .n_kv_heads = 128,
                                        .ffn_dim = 18432,
                                        .max_positions = 163840},
                                       {});
  const MoeFfnSpec moe = read_deepseek3_moe(config, spec, 256, 2048, 2.5, 8, 4);
  finish_sparse_network(config, spec, moe);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return read_sparse_gguf(config, checkpoint).read(from_hf);
}

}  // namespace

gguf::Members read_sparse_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  read_latent_gguf(config, members);
  members.copy("attention.indexer.top_k", "index_topk");
  return members;
}

ModuleLayout sparse_gguf_layout() {
  ModuleLayout layout = latent_gguf_layout();
  layout.ignored.push_back("blk.#.indexer.*");
  return layout;
}

void finish_sparse_network(const Config& config, ModelSpec& spec, MoeFfnSpec moe) {
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.bias = false; });  // whatever mlp_bias is
  hf::place_moe_by_type(config, spec, std::move(moe),
                        config.int_or("n_shared_experts", 1, 0, kMaxExperts),
                        config.int_or("first_k_dense_replace", 3, 0, kMaxLayers));
  spec.max_positions =
      std::min(spec.max_positions, config.int_or("index_topk", 2048, 1, kMaxPositions));
}

ModuleLayout sparse_layout(std::string_view prediction) {
  ModuleLayout layout = deepseek_layout();
  layout.ignored.insert(layout.ignored.end(), {"layers.#.self_attn.indexer.*", prediction});
  return layout;
}

Family deepseek_v32_family() {
  return {"deepseek_v32",      {"deepseek_v32"},
          {"deepseek32"},      from_hf,
          from_gguf,           sparse_layout("layers.61.*"),
          sparse_gguf_layout()};
}

}  // namespace openllm::model
