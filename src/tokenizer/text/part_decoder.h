#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {

/// Decodes a growing sequence as IncrementalDecoder does, and says which part of the text is
/// whose: a character belongs to the token that begins it, and so does a U+FFFD to the token with
/// the first of the bytes that it stands for. The parts of all tokens, joined, are the text.
class PartDecoder {
 public:
  /// As IncrementalDecoder.
  PartDecoder(const Tokenizer& tokenizer, bool skip_special, bool continues);

  /// Parts that are known now, in the order of the tokens, each token's once: those of earlier
  /// tokens that waited for this one, and its own unless later tokens decide it.
  std::vector<std::string> push(TokenId id);
  /// The parts that waited for more.
  std::vector<std::string> flush();

 private:
  void append(std::size_t owner, std::string_view bytes);
  void append_byte_run();
  std::vector<std::string> take_known();

  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool at_start_;     // no text yet
  bool first_token_;  // no token yet
  std::size_t n_taken_ = 0;
  std::deque<std::string> parts_;        // from token n_taken_ on
  std::string pending_;                  // an incomplete UTF-8 sequence
  std::size_t pending_owner_ = 0;        // its first byte's token
  std::string byte_run_;                 // of byte tokens
  std::vector<std::size_t> run_owners_;  // a token for each byte of it
  bool run_is_first_ = false;
  std::optional<std::size_t> held_;  // a token that may be the last one
  TokenId held_id_ = 0;
  bool held_is_first_ = false;
  std::optional<TokenId> repeats_;  // what came last, where repeats are dropped
};

}  // namespace openllm::tokenizer
