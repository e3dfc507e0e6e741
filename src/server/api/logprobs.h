#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "openllm/llm.h"
#include "openllm/outputs.h"

namespace openllm::server {

/// Tokens with their logprobs, and where each begins in the text of its answer, in code points. An
/// empty list is the first prompt token's, before which there is nothing.
struct PlacedTokens {
  std::vector<std::int32_t> ids{};
  std::vector<TokenLogprobs> lists{};
  std::vector<std::int64_t> offsets{};
};

/// Writes logprob lists in OpenAI's two shapes.
class LogprobWriter {
 public:
  struct Vocabulary {
    std::function<std::string(std::int32_t)> bytes{};  ///< Empty: the model has no tokenizer.
  };
  /// The vocabulary of a model. `llm` must outlive it.
  static Vocabulary vocabulary_of(const LLM& llm);

  /// `as_ids`: tokens are named "token_id:N"; else a model without a tokenizer is refused when one
  /// is to be named. `n_top`: how many of the most likely tokens to list.
  LogprobWriter(Vocabulary vocabulary, bool as_ids, int n_top)
      : vocabulary_(std::move(vocabulary)), as_ids_(as_ids), n_top_(n_top) {}

  /// {"tokens":[...],"token_logprobs":[...],"top_logprobs":[...],"text_offset":[...]} of
  /// /v1/completions.
  void append_completion(std::string& out, const PlacedTokens& tokens) const;
  /// [null,{"ID":{"logprob":...,"rank":...,"decoded_token":...},...},...]: vLLM's prompt_logprobs.
  /// `n_top`: how many of the most likely tokens each list has; the rank of a prompt's token that
  /// is not among them is null, and all texts of a model without a tokenizer.
  void append_prompt(std::string& out, const std::vector<TokenLogprobs>& lists, int n_top) const;
  /// {"content":[...],"refusal":null} of /v1/chat/completions.
  void append_chat(std::string& out, std::span<const TokenLogprobs> lists) const;

 private:
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
