#pragma once

#include <string>
#include <vector>

#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// The spelling of the token of a byte: "<0x0A>".
std::string byte_token(unsigned byte);

/// The ids of those tokens by byte; empty unless there is one for every byte of valid UTF-8.
/// Bytes that UTF-8 does not have may be -1.
std::vector<TokenId> find_byte_tokens(const Vocab& vocab);

}  // namespace openllm::tokenizer
