#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/files/pipeline.h"

namespace openllm::tokenizer {

/// Tokens of byte-level BPE as tiktoken has them: bytes, and the rank at which they come about.
struct RankedToken {
  std::string bytes;
  TokenId rank = 0;
};

/// Vocabulary, model, pre-tokenizer and decoder. Ids are the ranks and `first_id`; what lies
/// before are the special tokens. Neighbours merge where they are a token together, the lowest rank
/// first; a word that is a token is that token. Throws kCorruptData when a byte has no token.
void set_ranked_tokens(PipelineParts& parts, const std::vector<RankedToken>& tokens,
                       TokenId first_id, std::string_view pattern, std::string_view where);

}  // namespace openllm::tokenizer
