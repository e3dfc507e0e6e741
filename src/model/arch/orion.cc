// Orion: llama with LayerNorm. Source: the published modeling_orion.py.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 84608,
                                                .n_layers = 40,
                                                .n_heads = 40,
                                                .n_kv_heads = 40,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 15360,
                                                .max_positions = 4096});
  hf::use_layer_norm(config, spec, "rms_norm_eps", 1e-5);
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.layer_norm_epsilon", "rms_norm_eps");
  return members.read(from_hf);
}

}  // namespace

Family orion_family() {
  return {"orion", {"orion"}, {"orion"}, from_hf, from_gguf, hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
