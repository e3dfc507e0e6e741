#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/text/charsmap.h"
#include "tokenizer/text/normalizer.h"

namespace openllm::tokenizer {

struct SentencePieceRules {
  std::optional<Charsmap> charsmap{};
  std::vector<std::string> kept{};  ///< Texts that stay as they are (user defined tokens).
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;  ///< Spaces become U+2581.
  bool space_is_suffix = false;    ///< The dummy stands behind the text.
};

/// As SentencePiece does it: the longest known beginning of what is left is replaced, then what
/// follows; spaces are counted meanwhile.
std::unique_ptr<Normalizer> make_sentencepiece_normalizer(SentencePieceRules rules);

}  // namespace openllm::tokenizer
