// BERT for generation: BERT without token types, and as a decoder with a plain head. Source:
// transformers models/bert_generation.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 50358;
  defaults.hidden_size = 1024;
  defaults.n_layers = 24;
  defaults.n_heads = 16;
  defaults.ffn_dim = 4096;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_positions = spec.max_positions;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  layout.modules.push_back({role::kPositions, "embeddings.position_embeddings"});
  layout.modules.push_back({role::kHead, "lm_head.decoder", true});
  layout.modules.push_back({role::kHeadBias, "lm_head.bias", true});
  layout.modules.push_back({role::kHeadBias, "lm_head.decoder.bias", true});
  layout.prefixes = {"bert.", ""};
  layout.ignored = {"embeddings.position_ids", "lm_head.*"};
  return layout;
}

}  // namespace

Family bert_generation_family() {
  return {"bert-generation", {"bert-generation"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
