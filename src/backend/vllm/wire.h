#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"

// Requests as bodies of /v1/completions, and the answers to them. Whatever is wrong with an answer
// is kIo.
namespace openllm::backend::vllm {

/// What of a request one call asks for.
struct CallPart {
  /// What a choice has already: the prompt goes on with it, and it counts as part of the answer.
  std::span<const std::int32_t> generated{};
  int n_choices = 1;
};

/// What a request names at the server.
struct Named {
  std::string model{};         ///< Or an adapter of it.
  std::string adapter_name{};  ///< A sum of adapters, of our own servers; empty: none.
};

/// Asks for a stream of tokens with their logprobs and counts.
std::string stream_body(const engine::Request& request, const Named& named, const CallPart& part);
/// Asks for the logprobs of the prompt's tokens, and for one token, as none cannot be asked for.
std::string prompt_logprobs_body(const engine::Request& request, const Named& named);

/// What an event, or a whole answer, tells of one choice.
struct ChoicePiece {
  int index = 0;
  std::vector<std::int32_t> ids{};
  /// Tokens with their logprobs. They may come later than their ids.
  std::vector<engine::TokenEvent> scored{};
  std::optional<FinishReason> finish_reason{};
};

struct Piece {
  std::vector<ChoicePiece> choices{};
  std::optional<std::int64_t> n_completion_tokens{};  ///< Of all choices, at the end.
  int n_cached_tokens = 0;
};

/// `n_choices`: how many there can be; `n_top`: how many logprobs were asked for. Throws the error
/// that the answer tells.
Piece read_piece(std::string_view json, int n_choices, int n_top);

/// The logprobs of positions 1, 2, ... of the prompt.
std::vector<engine::TokenEvent> read_prompt_logprobs(std::string_view json,
                                                     std::span<const std::int32_t> prompt_ids,
                                                     int n_top);

}  // namespace openllm::backend::vllm
