#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/json_writer.h"
#include "openllm/llm.h"
#include "openllm/outputs.h"

namespace openllm::server {

/// Writes logprob lists in OpenAI's two shapes.
class LogprobWriter {
 public:
  struct Vocabulary {
    std::function<std::string(std::int32_t)> bytes{};
    std::function<bool(std::int32_t)> is_special{};
    bool hides_special = true;  ///< Special tokens are left out of the text.
  };
  /// The vocabulary of a model. `llm` must outlive it.
  static Vocabulary vocabulary_of(const LLM& llm, bool hides_special);

  /// `as_ids`: tokens are named "token_id:N". `n_top`: how many of the most likely tokens to list.
  LogprobWriter(Vocabulary vocabulary, bool as_ids, int n_top)
      : vocabulary_(std::move(vocabulary)), as_ids_(as_ids), n_top_(n_top) {}

  /// Where the next token begins in the answer's text, in code points; carried from chunk to chunk.
  struct TextOffset {
    std::size_t n_code_points = 0;
    bool has_text = false;       ///< Some token before had text.
    bool is_space_open = false;  ///< The first token began with a space; its text has not come yet.
  };

  /// {"tokens":[...],"token_logprobs":[...],"top_logprobs":[...],"text_offset":[...]} of
  /// /v1/completions. `lists[i]` belongs to `ids[i]`; an empty one is the first prompt token, whose
  /// logprob is null. `text` is the text of the tokens.
  void append_completion(std::string& out, std::string_view text, std::span<const std::int32_t> ids,
                         std::span<const TokenLogprobs> lists, TextOffset& offset) const;
  /// {"content":[...],"refusal":null} of /v1/chat/completions.
  void append_chat(std::string& out, std::span<const TokenLogprobs> lists) const;

 private:
  void advance(TextOffset& offset, std::string_view text, std::int32_t id) const;
  std::string name(std::int32_t id, bool is_chat) const;
  /// The most likely tokens of one position, by name.
  void write_top(base::JsonWriter& json, const TokenLogprobs& list) const;
  /// The members of one token, inside its object.
  void write_chat_token(base::JsonWriter& json, const TokenLogprob& entry) const;
  TokenLogprobs top(const TokenLogprobs& list, bool always_chosen) const;

  Vocabulary vocabulary_;
  bool as_ids_;
  int n_top_;
};

}  // namespace openllm::server
