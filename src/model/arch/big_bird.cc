// BigBird: BERT that in long sequences looks at some blocks alone. Exact as long as transformers
// itself looks at everything: that is its context here, unless the file asks for full attention.
// Source: transformers models/big_bird.

#include <algorithm>
#include <cmath>
#include <string>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// The longest sequence whose attention is full.
int full_positions(const Config& config, int max_positions) {
  const std::string type = config.string_or("attention_type", "block_sparse");
  if (type == "original_full") return max_positions;
  if (type != "block_sparse") {
    config.unsupported("attention_type",
                       "unknown kind (expected original_full or block_sparse, got ", type, ")");
  }
  const int n_random = config.int_or("num_random_blocks", 3, 0, kMaxVocab);
  const int size = config.int_or("block_size", 64, 1, kMaxVocab);
  const std::int64_t n = (5 + 2 * std::int64_t{n_random}) * size;
  return static_cast<int>(std::min<std::int64_t>(n, max_positions));
}

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 50358;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 4096;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu_new";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  hf::set_attention_biases(spec, config.bool_or("use_bias", true), true);
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  if (config.bool_or("rescale_embeddings", false))
    spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  // A decoder with a cache looks at everything, however long.
  if (!spec.head) spec.max_positions = full_positions(config, spec.max_positions);
  const device::Activation activation = hf::read_activation(config, "hidden_act", "gelu_new");
  hf::use_bert_head(spec, activation);
  if (hf::is_classifier(config))
    spec.pooled_head = hf::read_classifier(config, {.activation = activation});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  layout.modules.push_back({role::kPositions, "embeddings.position_embeddings"});
  layout.modules.push_back({role::kTokenTypes, "embeddings.token_type_embeddings"});
  layout.modules.push_back({role::kPooler, "classifier.dense", true});
  layout.modules.push_back({role::kClassifier, "classifier.out_proj", true});
  hf::add_bert_head(layout);
  layout.prefixes = {"bert.", ""};
  layout.ignored = {"embeddings.position_ids", "embeddings.token_type_ids", "pooler.*", "cls.*",
                    "classifier.*"};
  return layout;
}

}  // namespace

Family big_bird_family() {
  return {"big_bird", {"big_bird"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
