#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "llm/local_model.h"
#include "openllm/chat.h"

namespace openllm::llm {

/// One input of an embedding, or a pair of texts for a cross-encoder.
struct EmbedInput {
  Prompt prompt{std::string()};
  std::optional<std::string> second{};  ///< Of a pair, whose first text is the prompt.
  std::string prefix{};                 ///< Goes before a text.
  bool add_special_tokens = true;
  bool truncate = false;
  int max_tokens = 0;  ///< Of a truncated one; 0: the model's.
};

struct TokenizedInput {
  std::vector<std::int32_t> ids{};
  std::vector<std::int32_t> types{};  ///< Empty: all 0.
  std::size_t n_prefix = 0;           ///< Tokens that the prefix and what comes before it take.
};

/// Throws kInvalidArgument for an input that does not fit `max_model_len`, unless it may be
/// truncated, and for messages; kUnsupported where a text has no tokenizer.
TokenizedInput tokenize_input(LocalModel& model, const EmbedInput& input, int max_model_len);

}  // namespace openllm::llm
