#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Turns one word into tokens. Thread safety: const methods from any thread.
class Model {
 public:
  /// Working memory of one encode call: buffers and what a model remembers about words it has seen.
  class Session {
   public:
    virtual ~Session() = default;
    /// Appends the tokens of a word, at the latest with `finish`; the word must stay until then.
    virtual void tokenize(std::string_view word, std::vector<TokenId>& out) = 0;
    virtual void finish(std::vector<TokenId>& out) = 0;
  };

  virtual ~Model() = default;
  /// `text_bytes`: about how much text there will be.
  virtual std::unique_ptr<Session> start(std::size_t text_bytes) const = 0;
  /// No token stands for more bytes of valid UTF-8, those that vanish apart; 0 where there is no
  /// such limit (some models leave characters out, or give one token for any number of them).
  virtual std::size_t max_token_bytes() const noexcept = 0;
  /// No token may stand for the byte.
  virtual bool may_vanish(unsigned char byte) const noexcept = 0;
};

}  // namespace openllm::tokenizer
