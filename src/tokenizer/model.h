#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Turns one word into tokens. Thread safety: const methods from any thread.
class Model {
 public:
  /// Working memory of one encode call: buffers, and the tokens of words that came before.
  class Session {
   public:
    virtual ~Session() = default;
    /// Appends the tokens of a word, now or in a later call, at the latest in `finish`; the word
    /// must stay valid until then.
    virtual void tokenize(std::string_view word, std::vector<TokenId>& out) = 0;
    virtual void finish(std::vector<TokenId>& out) = 0;
  };

  /// A token and the bytes of its word that it stands for. Tokens of single bytes that together
  /// stand for a character may all have its place.
  struct Piece {
    TokenId id;
    std::size_t begin, end;
    bool is_text = false;  ///< The library calls the token what it stands for, not what it spells.
  };

  virtual ~Model() = default;
  /// `text_bytes`: approximate length of the text.
  virtual std::unique_ptr<Session> start(std::size_t text_bytes) const = 0;
  /// Appends the tokens of a word and their places in it.
  virtual void locate(std::string_view word, std::vector<Piece>& out) const = 0;
  /// The most bytes of valid UTF-8 that one token stands for, not counting bytes that no token
  /// stands for; 0 where there is no limit (some models leave characters out, or give one token for
  /// any number of them).
  virtual std::size_t max_token_bytes() const noexcept = 0;
  /// Whether a byte may be without a token that stands for it.
  virtual bool may_vanish(unsigned char byte) const noexcept = 0;
};

}  // namespace openllm::tokenizer
