#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// What a SentencePiece model file (a ModelProto) holds. The views are into the file.
struct SentencePieceFile {
  enum class PieceType { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
  enum class ModelType { kUnigram = 1, kBpe, kWord, kChar };
  struct Piece {
    std::string_view text;
    float score = 0;
    PieceType type = PieceType::kNormal;
  };

  std::vector<Piece> pieces;
  ModelType model_type = ModelType::kUnigram;
  bool byte_fallback = false;
  bool space_is_suffix = false;
  std::string_view charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  int bos_id = 1, eos_id = 2;  ///< -1: none.
};

/// Throws kCorruptData; `where` begins the message.
SentencePieceFile parse_sentencepiece(std::string_view bytes, std::string_view where);

}  // namespace openllm::tokenizer
