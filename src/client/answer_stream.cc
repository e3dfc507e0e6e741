#include "client/answer_stream.h"

#include <algorithm>

#include "client/output_parts.h"
#include "client/server_error.h"
#include "client/wire.h"

namespace openllm::client {

void set_timing(GenerationOutput& output, std::chrono::steady_clock::time_point start) {
  const auto now = std::chrono::steady_clock::now();
  output.timing.total_s = std::chrono::duration<double>(now - start).count();
  const bool has_news =
      std::any_of(output.outputs.begin(), output.outputs.end(), [](const CompletionChunk& chunk) {
        return chunk.n_delta_tokens > 0 || !chunk.delta.empty();
      });
  if (has_news && !output.timing.first_token_s) output.timing.first_token_s = output.timing.total_s;
}

bool AnswerStream::feed(std::string_view bytes) {
  return decoder_.feed(bytes, [this](const net::SseEvent& event) {
    if (event.name == "error") throw make_error(kWithinAnswer, event.data);
    if (event.data != "[DONE]") return add(event.data);
    is_done_ = true;
    return tell_end();
  });
}

bool AnswerStream::add(std::string_view text) {
  const base::Json answer = parse_answer(text);
  has_news_ = true;
  if (is_end_held_ && api_.merge_late_counts(output_, answer)) return tell_end();
  if (may_grow()) output_.finished = false;
  if (!tell_end()) return false;
  api_.merge(output_, answer, kind_);
  require_choices(output_, n_);
  set_timing(output_, start_);
  // The counts, or another choice, may come after the end of these, and readers go no further than
  // that end.
  is_end_held_ = output_.finished && (may_grow() || !has_usage(answer));
  return is_end_held_ || tell();
}

bool AnswerStream::is_whole() const noexcept {
  return output_.finished || (has_news_ && is_done_ && api_.may_end_without_reason());
}

}  // namespace openllm::client
