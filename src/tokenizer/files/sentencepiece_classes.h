#pragma once

#include <memory>
#include <string_view>

#include "base/json.h"
#include "tokenizer/files/sentencepiece_file.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// The tokenizer that a class of transformers makes of a SentencePiece file: it gives the pieces
/// other ids, adds tokens, and goes another way with a text than SentencePiece. Null for classes
/// that do not.
std::unique_ptr<Tokenizer> make_class_tokenizer(const SentencePieceFile& file,
                                                std::string_view tokenizer_class,
                                                const base::Json& tokenizer_config);

}  // namespace openllm::tokenizer
