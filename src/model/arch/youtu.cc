// Youtu-LLM: DeepSeek-V3's latent attention with dense FFNs. Source: transformers models/youtu.

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_latent_network(config,
                                       {.vocab_size = 128256,
                                        .hidden_size = 2048,
                                        .n_kv_heads = 16,
                                        .ffn_dim = 6144,
                                        .max_positions = 131072,
                                        .tied = true},
                                       {.n_heads = 16});
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.bias = false; });
  return spec;
}

}  // namespace

Family youtu_family() { return {"youtu", {"youtu"}, {}, from_hf, nullptr, latent_layout(), {}}; }

}  // namespace openllm::model
