#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// Turns a growing sequence of tokens into text, token by token: `LLM::text_decoder` makes one.
/// A character that several tokens make up belongs to the one that begins it, and a U+FFFD to the
/// token with the first of the bytes that it stands for. So the parts of all tokens, joined, are
/// what `LLM::detokenize` gives for the whole sequence.
/// A copy goes on by itself. Thread safety: one thread at a time.
class OPENLLM_API TextDecoder {
 public:
  ~TextDecoder();
  TextDecoder(const TextDecoder& other);
  TextDecoder& operator=(const TextDecoder& other);
  TextDecoder(TextDecoder&&) noexcept;
  TextDecoder& operator=(TextDecoder&&) noexcept;

  /// Adds a token. Returns the parts that are known now, in the order of the tokens, each once:
  /// usually this token's own. A token that ends within a character waits for the next ones.
  /// Both methods throw kInvalidArgument once the decoder was moved from.
  std::vector<std::string> push(std::int32_t token_id);
  /// The sequence has ended: returns the parts that waited.
  std::vector<std::string> flush();

 private:
  friend class LLM;
  class Impl;
  explicit TextDecoder(std::unique_ptr<Impl> impl);
  Impl& impl();
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm
