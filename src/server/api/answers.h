#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "openllm/outputs.h"
#include "server/api/logprobs.h"
#include "server/api/receipts.h"
#include "server/api/usage.h"

namespace openllm::server {

/// Beginning of every chunk and every whole answer of a request.
struct AnswerHead {
  std::string id{};
  std::int64_t created = 0;  ///< Seconds since 1970.
  std::string model{};
  std::string system_fingerprint{};  ///< Changes with the model and with the library.
};

/// "stop" or "length" of a choice that ended normally; nullptr while it runs. Cancelled and failed
/// choices have no JSON form.
const char* finish_name(const std::optional<FinishReason>& reason) noexcept;

/// Makes the answers of /v1/completions, whole and in chunks.
class CompletionAnswer {
 public:
  CompletionAnswer(AnswerHead head, LogprobWriter logprobs, bool include_usage,
                   bool return_token_ids)
      : head_(std::move(head)),
        logprobs_(std::move(logprobs)),
        include_usage_(include_usage),
        return_token_ids_(return_token_ids) {}

  /// The new part of one choice.
  struct Piece {
    int index = 0;
    std::string_view text{};
    const PlacedTokens* logprobs = nullptr;  ///< Null: none are wanted.
    const std::vector<std::int32_t>* token_ids = nullptr;
    double cumulative_logprob = 0.0;                              ///< Shown beside the ids.
    const std::vector<std::int32_t>* prompt_token_ids = nullptr;  ///< Null: not in this piece.
    const std::vector<TokenLogprobs>* prompt_logprobs = nullptr;  ///< Likewise.
    int n_prompt_logprobs = 0;                                    ///< Of the most likely tokens.
    std::optional<FinishReason> finish_reason{};
  };
  /// {"index","text","logprobs","finish_reason"}
  void append_choice(std::string& out, const Piece& piece) const;
  std::string chunk(std::string_view choice) const;
  /// The chunk without choices at the end: usage, if it is wanted, and receipts.
  std::string end_chunk(const Usage& usage, const Receipts& receipts) const;
  std::string whole(std::string_view choices, const Usage& usage, const Receipts& receipts) const;

 private:
  AnswerHead head_;
  LogprobWriter logprobs_;
  bool include_usage_;
  bool return_token_ids_;
};

/// Makes the answers of /v1/chat/completions.
class ChatAnswer {
 public:
  ChatAnswer(AnswerHead head, LogprobWriter logprobs, bool include_usage, bool return_token_ids)
      : head_(std::move(head)),
        logprobs_(std::move(logprobs)),
        include_usage_(include_usage),
        return_token_ids_(return_token_ids) {}

  /// The first chunk of a choice. `prompt_token_ids` may be null; they are shown if ids are wanted.
  std::string role_chunk(int index, const std::vector<std::int32_t>* prompt_token_ids) const;
  /// New text; `chunk.finish_reason` is not part of it.
  std::string text_chunk(const CompletionChunk& chunk) const;
  std::string finish_chunk(int index, const char* reason) const;
  /// As of CompletionAnswer.
  std::string end_chunk(const Usage& usage, const Receipts& receipts) const;
  std::string whole(const GenerationOutput& output, const Usage& usage,
                    const Receipts& receipts) const;

 private:
  void close_chunk(base::JsonWriter& json,
                   const std::vector<std::int32_t>* prompt_token_ids = nullptr) const;
  void write_logprobs(base::JsonWriter& json, const CompletionChunk& chunk) const;

  AnswerHead head_;
  LogprobWriter logprobs_;
  bool include_usage_;
  bool return_token_ids_;
};

}  // namespace openllm::server
