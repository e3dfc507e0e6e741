#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// Why a choice ended.
enum class FinishReason {
  kStop,       ///< End-of-sequence token, stop token or stop string.
  kLength,     ///< max_new_tokens reached, or the context is full.
  kCancelled,  ///< The caller cancelled or dropped the stream.
  kDeadline,   ///< The request's deadline passed.
  kError,      ///< The request failed. LLM and Client throw the Error instead of giving an output.
};

/// "stop", "length", "cancelled", "deadline" or "error".
OPENLLM_API const char* to_string(FinishReason reason) noexcept;

/// One entry of a logprob list: natural logarithm of the token's probability before sampling rules.
struct TokenLogprob {
  std::int32_t token_id = 0;
  float logprob = 0.0F;
};

/// Logprobs at one position: the chosen token first, then the most likely others in falling order.
/// The chosen token is not listed twice.
using TokenLogprobs = std::vector<TokenLogprob>;

/// One of the n answers of a request. `text` and `token_ids` are everything generated so far.
struct CompletionChunk {
  int index = 0;
  std::string text{};
  std::vector<std::int32_t> token_ids{};
  double cumulative_logprob = 0.0;
  /// One entry per token of `token_ids`, if `GenerateOptions::logprobs` was set.
  std::optional<std::vector<TokenLogprobs>> logprobs{};
  std::optional<FinishReason> finish_reason{};
  /// What `text` gained since the previous output of this stream (all of it for one-shot calls).
  std::string delta{};
  /// How many entries at the end of `token_ids` are new since the previous output.
  std::size_t n_delta_tokens = 0;
};

/// Tokens of a request, its choices together.
struct Usage {
  std::int64_t n_prompt_tokens = 0;      ///< Counted once, however many choices there are.
  std::int64_t n_cached_tokens = 0;      ///< Of these, not computed: a cached prefix was used.
  std::int64_t n_completion_tokens = 0;  ///< Of all choices so far.
};

/// Seconds since the request was made, on the clock of this machine. They are the one thing in an
/// output that differs between two runs.
struct Timing {
  /// Until its first step began; unset before, and when a server of OpenAI's API answered.
  std::optional<double> queued_s{};
  /// Until the first output with a token; unset where a server gave the whole answer at once.
  std::optional<double> first_token_s{};
  double total_s = 0.0;  ///< Until this output.
};

/// State of a request: after every step from a stream, at the end from `generate`.
struct GenerationOutput {
  std::string prompt{};
  bool finished = false;
  std::vector<CompletionChunk> outputs{};
  std::optional<std::vector<std::int32_t>> prompt_token_ids{};
  /// One entry per prompt token, if asked for; the first is empty (nothing precedes it).
  std::optional<std::vector<TokenLogprobs>> prompt_logprobs{};
  std::string request_id{};
  /// As `usage.n_cached_tokens`.
  std::int64_t n_cached_tokens = 0;
  /// What went wrong, where an output has FinishReason::kError.
  std::string error{};
  Usage usage{};
  Timing timing{};
  /// JSON, in the last output if GenerateOptions::receipt is set (openllm/receipt.h).
  std::string receipt{};
};

/// JSON with every field by its name above; logprob lists become objects keyed by token id, absent
/// fields, an empty `error` and an empty `receipt` null. Never throws on invalid UTF-8 (replaced by
/// U+FFFD).
OPENLLM_API std::string to_json(const GenerationOutput& output);

}  // namespace openllm
