// Hunyuan V1, dense: llama with norms on the heads of Q and K behind RoPE, whose base may be
// stretched by a fixed `alpha`. Source: transformers models/hunyuan_v1_dense.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 290943, .norm_eps = 1e-5});
  hf::read_alpha_rope(config, spec);
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.qk_norm_after_rope = true;
  });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kQNorm, "layers.#.self_attn.query_layernorm"});
  layout.modules.push_back({role::kKNorm, "layers.#.self_attn.key_layernorm"});
  return layout;
}

/// The converter stretches the base of the rope itself.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_hf);
}

}  // namespace

Family hunyuan_v1_dense_family() {
  return {"hunyuan_v1_dense", {"hunyuan_v1_dense"}, {"hunyuan-dense"}, from_hf,
          from_gguf,          hf_layout(),          gguf::layout()};
}

}  // namespace openllm::model
