// FlexOlmo: OLMo 2 with a mixture on every layer. Source: transformers models/flex_olmo.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 100352, .max_positions = 4096});
  hf::read_single_rope(config, spec, {.theta = 500000.0});
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kWholeRow; });
  hf::use_norms_after(spec);
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}),
                    .n_experts = 7,
                    .top_k = 5,
                    .ffn_dim_key = {}});
  moe.router.normalise = config.bool_or("norm_topk_prob", false);
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::norms_after_layout();
  hf::remove_ffn(layout);
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  return layout;
}

}  // namespace

Family flex_olmo_family() {
  return {"flex_olmo", {"flex_olmo"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
