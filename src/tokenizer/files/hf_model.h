#pragma once

#include <memory>

#include "base/json.h"
#include "tokenizer/model.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// The tokens of the component "model" of tokenizer.json: BPE, WordPiece, WordLevel or Unigram.
std::unique_ptr<Vocab> read_hf_vocab(const base::Json& model);

/// The model itself. `vocab` must outlive it. `byte_level`: words are raw bytes, see
/// PreTokenizerChoice.
std::unique_ptr<Model> read_hf_model(const base::Json& model, const Vocab& vocab, bool byte_level);

}  // namespace openllm::tokenizer
