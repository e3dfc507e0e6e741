#include "backend/continuation.h"

#include <algorithm>

namespace openllm::backend {

bool may_work_elsewhere(const base::Failure& failure) noexcept {
  switch (failure.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kBusy:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
    case ErrorCode::kDeadline:
    case ErrorCode::kResourceExhausted:
      return true;
    default:  // a server that was replaced by one of another model, or with another key
      return failure.reason == ErrorReason::kModelNotFound || failure.where == "vllm.api_key";
  }
}

std::string_view field_of_answer(const engine::Request& request) noexcept {
  if (!request.source_ids.empty()) return "prompt";  // the encoder reads it
  if (request.sampling.presence_penalty != 0.0F) return "presence_penalty";
  if (request.sampling.frequency_penalty != 0.0F) return "frequency_penalty";
  if (!request.bad_words.empty()) return "bad_words";
  // Rules that are told in words, too, are one constraint.
  const std::size_t n_known = request.allowed_token_ids.empty() ? 0 : 1;
  if (request.constraints.size() > n_known) return "a rule on its tokens";
  return {};
}

std::optional<FinishReason> end_of(const engine::Request& request,
                                   std::span<const std::int32_t> answer) noexcept {
  const std::vector<std::int32_t>& stops = request.stop_token_ids;
  if (!answer.empty() && std::find(stops.begin(), stops.end(), answer.back()) != stops.end())
    return FinishReason::kStop;
  if (left_after(request, answer.size()).max == 0) return FinishReason::kLength;
  return std::nullopt;
}

LeftTokens left_after(const engine::Request& request, std::size_t n_answered) noexcept {
  const auto n = static_cast<int>(
      std::min(n_answered, static_cast<std::size_t>(std::max(0, request.max_new_tokens))));
  const int max = request.max_new_tokens - n;
  return {std::clamp(request.min_new_tokens - n, 0, max), max};
}

}  // namespace openllm::backend
