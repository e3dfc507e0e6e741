#include "server/api/native_delta.h"

#include <utility>

namespace openllm::server {
namespace {

/// The last `n` of the list.
template <typename T>
std::vector<T> tail(const std::vector<T>& list, std::size_t n) {
  const auto first = list.size() > n ? static_cast<std::ptrdiff_t>(list.size() - n) : 0;
  return {list.begin() + first, list.end()};
}

CompletionChunk new_part(const CompletionChunk& chunk) {
  CompletionChunk part;
  part.index = chunk.index;
  part.text = chunk.delta;
  part.token_ids = tail(chunk.token_ids, chunk.n_delta_tokens);
  part.cumulative_logprob = chunk.cumulative_logprob;
  if (chunk.logprobs) part.logprobs = tail(*chunk.logprobs, chunk.n_delta_tokens);
  part.finish_reason = chunk.finish_reason;
  part.delta = chunk.delta;
  part.n_delta_tokens = chunk.n_delta_tokens;
  return part;
}

}  // namespace

std::optional<std::string> NativeDeltas::next(const GenerationOutput& output) {
  GenerationOutput delta;
  delta.finished = output.finished;
  delta.request_id = output.request_id;
  delta.n_cached_tokens = output.n_cached_tokens;
  delta.usage = output.usage;
  delta.timing = output.timing;
  delta.receipt = output.receipt;
  if (is_first_) {
    delta.prompt = output.prompt;
    delta.prompt_token_ids = output.prompt_token_ids;
    delta.prompt_logprobs = output.prompt_logprobs;
    is_over_.resize(output.outputs.size());
  }
  for (std::size_t i = 0; i < output.outputs.size(); ++i) {
    const CompletionChunk& chunk = output.outputs[i];
    const bool has_news = chunk.n_delta_tokens > 0 || !chunk.delta.empty() || chunk.finish_reason;
    if (is_over_[i] || !has_news) continue;
    is_over_[i] = chunk.finish_reason.has_value();
    delta.outputs.push_back(new_part(chunk));
  }
  const bool has_news = is_first_ || delta.finished || !delta.outputs.empty();
  is_first_ = false;
  return has_news ? std::optional<std::string>(to_json(delta)) : std::nullopt;
}

}  // namespace openllm::server
