#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/text/decoder.h"
#include "tokenizer/text/normalizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab/added_tokens.h"
#include "tokenizer/vocab/post_processor.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// Components of a tokenizer, in the order in which text goes through them.
struct PipelineParts {
  std::vector<AddedToken> added{};
  std::unique_ptr<Normalizer> normalizer{};       ///< May be null.
  std::unique_ptr<PreTokenizer> pre_tokenizer{};  ///< May be null.
  std::unique_ptr<Vocab> vocab{};  ///< The model's; without added tokens that it does not have.
  std::unique_ptr<Model> model{};
  SpecialFrame frame{};
  DecodeRules decoder{};
  bool raw_added_text = false;  ///< Added tokens decode to their spelling as it is.
  std::optional<TokenId> bos_id{};
  std::optional<TokenId> eos_id{};
  std::vector<TokenId> eos_ids{};
  base::Json special_tokens_map = base::Json::object();  ///< Tokenizer::special_tokens_map.
};

/// Throws kCorruptData when ids point outside the vocabulary.
std::unique_ptr<Tokenizer> make_pipeline(PipelineParts parts);

}  // namespace openllm::tokenizer
