#pragma once

#include <cstdint>
#include <span>

#include "openllm/options.h"
#include "sampling/constraints/token_rules.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// The rules on tokens that a request has. `config`: the configuration with the request over it.
/// `eos_ids`: the model's end-of-sequence tokens, as far as they end the answer. `tokenizer` may be
/// null; then bad_words is kUnsupported. Throws kInvalidArgument naming the field that makes no
/// sense for the model.
sampling::TokenRules make_token_rules(const GenerateOptions& options, const LLMConfig& config,
                                      std::span<const std::int32_t> eos_ids, int vocab_size,
                                      const tokenizer::Tokenizer* tokenizer);

}  // namespace openllm::llm
