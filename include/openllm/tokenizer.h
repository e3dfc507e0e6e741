#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "openllm/llm.h"

namespace openllm {

/// The tokenizer of an LLM under the names that transformers has; it loads at first use, without
/// the weights. A cheap handle. Thread safety and errors as of LLM, whose verbs these are.
class Tokenizer {
 public:
  /// As `llm.tokenizer()`.
  explicit Tokenizer(LLM llm) : llm_(std::move(llm)) {}

  std::vector<std::int32_t> encode(std::string_view text,
                                   const TokenizeOptions& options = {}) const {
    return llm_.tokenize(text, options);
  }
  std::string decode(const std::vector<std::int32_t>& token_ids,
                     bool skip_special_tokens = true) const {
    return llm_.detokenize(token_ids, skip_special_tokens);
  }
  std::string apply_chat_template(const std::vector<Message>& messages,
                                  const GenerateOptions& options = {}) const {
    return llm_.apply_chat_template(messages, options);
  }
  std::string token_text(std::int32_t token_id) const { return llm_.token_text(token_id); }
  int vocab_size() const { return llm_.info().vocab_size; }
  /// Tokens that end an answer, unless requests say otherwise.
  std::vector<std::int32_t> eos_token_ids() const { return llm_.eos_token_ids(); }

 private:
  LLM llm_;
};

}  // namespace openllm
