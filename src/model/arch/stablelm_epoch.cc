// StableLM 3B as first published: StableLM 2 under other names of members. Source: the published
// modeling_stablelm_epoch.py.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304,
                                                .hidden_size = 2560,
                                                .n_kv_heads = 32,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 6912,
                                                .max_positions = 4096});
  hf::use_layer_norm(config, spec, "norm_eps", 1e-5);
  hf::set_attention_biases(spec, config.bool_or("use_qkv_bias", false), false);
  hf::read_single_rope(config, spec, {.partial = 0.25, .partial_key = "rope_pct"});
  return spec;
}

}  // namespace

Family stablelm_epoch_family() {
  return {"stablelm_epoch", {"stablelm_epoch"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
