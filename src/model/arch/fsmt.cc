// FSMT (fairseq's models of WMT19): BART without a norm of the embedding, with positions as waves
// and a table of its own for the source. Source: transformers models/fsmt.

#include "model/arch/bart.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.vocab_size = 42024,
                         .activation = "relu",
                         .scales_embedding = true,
                         .decoder_start = 2,
                         .has_output_bias = false,
                         .positions = BartKind::Positions::kFairseqWaves,
                         .offset_is_pad = true};

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_bart(config, kKind);
  const int of_source = config.int_or("src_vocab_size", kKind.vocab_size, 1, kMaxVocab);
  spec.vocab_size = config.int_or("tgt_vocab_size", kKind.vocab_size, 1, kMaxVocab);
  if (of_source != spec.vocab_size) {
    config.unsupported("src_vocab_size", "differs from tgt_vocab_size (expected ", spec.vocab_size,
                       ", got ", of_source, ")");
  }
  const bool tied = config.bool_or("tie_word_embeddings", false);
  spec.head->tied = tied;
  spec.encoder->embedding.own_table = !tied;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = bart_layout(kKind);
  layout.encoder_modules.push_back({role::kEmbedding, "encoder.embed_tokens"});
  for (ModuleName& name : layout.modules) {
    if (name.role == role::kHead) name = {role::kHead, "decoder.output_projection"};
  }
  for (const std::string_view name :
       {"encoder.embed_positions.weight", "decoder.embed_positions.weight"}) {
    layout.ignored.push_back(name);
  }
  return layout;
}

}  // namespace

Family fsmt_family() { return {"fsmt", {"fsmt"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
