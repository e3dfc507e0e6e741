#pragma once

#include <optional>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Tokens that a post-processor puts around those of a text.
struct SpecialFrame {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  bool of_template = false;  ///< Some of them are from a TemplateProcessing.
  /// Takes the white space at the ends of tokens out of their places.
  struct Trim {
    bool keeps_first_space;  ///< It was put in front of the text.
    bool is_outer;           ///< Some of `before` come first.
  };
  std::vector<Trim> trims{};
  /// How two texts stand together; nullopt: in a form that is not known.
  std::optional<std::vector<PairPart>> pair =
      std::vector<PairPart>{{PairPart::Kind::kFirst}, {PairPart::Kind::kSecond, 0, 1}};
};

/// The component "post_processor" of tokenizer.json, for one text. Ids are not checked against the
/// vocabulary.
SpecialFrame parse_post_processor(const base::Json& json);

}  // namespace openllm::tokenizer
