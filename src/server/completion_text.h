#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "openllm/llm.h"
#include "openllm/outputs.h"
#include "server/api/logprobs.h"

namespace openllm::server {

/// Where tokens begin in a growing text, in code points. A token that begins within a character
/// begins after it.
class TokenOffsets {
 public:
  /// `decoder`: nullopt where tokens have no text. `begin`: where that of the first token begins.
  TokenOffsets(std::optional<TextDecoder> decoder, std::int64_t begin)
      : decoder_(std::move(decoder)), next_(begin) {}

  /// Adds a token. Appends the offsets that are known now to `offsets`, each token's once and in
  /// their order, and the text that is known now to `text`.
  void push(std::int32_t id, std::vector<std::int64_t>& offsets, std::string& text);
  void flush(std::vector<std::int64_t>& offsets, std::string& text);
  /// Text of some token depends on what follows.
  bool is_waiting() const noexcept { return n_known_ < n_tokens_; }

 private:
  void add(const std::vector<std::string>& parts, std::vector<std::int64_t>& offsets,
           std::string& text);

  std::optional<TextDecoder> decoder_;
  std::int64_t next_;         // of token n_known_
  std::size_t n_tokens_ = 0;  // pushed
  std::size_t n_known_ = 0;   // of these, with a text that is known
  std::size_t n_given_ = 0;   // of these, with an offset that was given
};

/// What the choices of /v1/completions need to know of their prompt.
struct PromptText {
  struct Wishes {
    bool echo = false;
    bool skip_special = true;
    bool logprobs = false;
  };
  PromptText(const LLM& llm, const GenerationOutput& first, const Wishes& wishes);

  std::string echo{};                     ///< What stands before the answer's text.
  std::optional<TokenOffsets> offsets{};  ///< At the end of the prompt, if they are of use.
  /// Decodes the answer alone, as the library does; if the prompt ends within a character that the
  /// answer may complete.
  std::optional<TextDecoder> alone{};
  std::deque<std::int32_t> waiting_ids{};     ///< Tokens whose offset is not known yet.
  std::deque<TokenLogprobs> waiting_lists{};  ///< Their logprobs.
  PlacedTokens placed{};                      ///< The others, if they are shown.

 private:
  void place_without_text(const GenerationOutput& first, const Wishes& wishes);
  void add_logprobs(const GenerationOutput& first, const std::vector<std::int64_t>& known);
};

/// The text of one choice and where its tokens stand in it. The bytes of a prompt of token ids and
/// of its answer are joined before they become characters.
class ChoiceText {
 public:
  struct Piece {
    std::string text{};
    PlacedTokens tokens{};  ///< Empty without logprobs.
  };

  ChoiceText(const PromptText& prompt, bool logprobs);

  /// What the chunk adds; it holds only what is new. Its finish reason ends the text. Logprobs wait
  /// for the next piece while nobody knows where their tokens stand.
  Piece add(const CompletionChunk& chunk);

 private:
  void follow(std::int32_t id, PlacedTokens& tokens);
  void end(PlacedTokens& tokens);
  void add_alone(const std::vector<std::string>& parts);
  void place(PlacedTokens& tokens, const std::vector<std::int64_t>& known);
  std::string take_text(bool is_end);

  bool logprobs_;
  std::optional<TokenOffsets> offsets_;
  std::deque<std::int32_t> waiting_ids_;
  std::deque<TokenLogprobs> waiting_lists_;
  Piece first_;  // the prompt's, until it has been shown
  // While the beginning of the answer may complete a character of the prompt:
  std::optional<TextDecoder> alone_;
  std::size_t n_alone_waiting_ = 0;
  std::string joined_text_;   // of the first tokens, after the prompt's bytes
  std::string alone_text_;    // of the same tokens without them
  std::string library_text_;  // of the answer, not yet shown
};

}  // namespace openllm::server
