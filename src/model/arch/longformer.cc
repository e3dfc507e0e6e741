// Longformer: RoBERTa with a window to both sides. Rows that see everything (a global attention
// mask) are for those who ask for them and have linears of their own, which are left out. Source:
// transformers models/longformer.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// attention_window: a number for each layer, or one for all.
void read_windows(const Config& config, ModelSpec& spec) {
  constexpr std::string_view kKey = "attention_window";
  std::vector<double> sizes(spec.layers.size(), 512.0);
  if (const base::Json* given = config.find(kKey); given != nullptr) {
    if (given->if_array() != nullptr) {
      sizes = *config.numbers(kKey);
    } else {
      sizes.assign(sizes.size(), config.require_int(kKey, 2, kMaxPositions));
    }
  }
  if (sizes.size() != spec.layers.size()) {
    config.corrupt(kKey, "wrong length (expected ", spec.layers.size(), ", got ", sizes.size(),
                   ")");
  }
  for (int i = 0; i < spec.n_layers(); ++i) {
    const double size = sizes[static_cast<std::size_t>(i)];
    const bool fits = size >= 2.0 && size <= static_cast<double>(kMaxPositions) &&
                      static_cast<int>(size) % 2 == 0;
    if (!fits) config.corrupt(kKey, "bad number (expected an even one from 2 on, got ", size, ")");
    attention_of(spec, i).window = static_cast<int>(size) / 2 + 1;  // with the own position
  }
}

ModelSpec from_hf(const Config& config) {
  if (hf::is_classifier(config))
    config.unsupported("architectures", "classifiers have a row that sees everything");
  hf::Defaults defaults;
  defaults.vocab_size = 30522;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.head.reset();
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.sees_all = true; });
  hf::begin_positions_behind_padding(config, spec,
                                     config.int_or("pad_token_id", 1, 0, kMaxPositions));
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  read_windows(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  layout.modules.push_back({role::kPositions, "embeddings.position_embeddings"});
  layout.modules.push_back({role::kTokenTypes, "embeddings.token_type_embeddings"});
  layout.prefixes = {"longformer.", ""};
  layout.ignored = {"embeddings.position_ids",
                    "pooler.*",
                    "lm_head.*",
                    "qa_outputs.*",
                    "encoder.layer.#.attention.self.query_global.*",
                    "encoder.layer.#.attention.self.key_global.*",
                    "encoder.layer.#.attention.self.value_global.*"};
  return layout;
}

}  // namespace

Family longformer_family() {
  return {"longformer", {"longformer"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
