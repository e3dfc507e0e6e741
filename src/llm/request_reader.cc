#include "llm/request_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "llm/engine_request.h"
#include "llm/instance.h"

namespace openllm::llm {
namespace {

template <typename T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

/// Outputs have a place for content alone; no parser gives anything else yet.
std::string content_of(const chat::Segments& segments) {
  std::string text;
  for (const chat::Segment& segment : segments) {
    if (segment.kind == chat::SegmentKind::kContent) text += segment.text;
  }
  return text;
}

}  // namespace

RequestReader::RequestReader(std::shared_ptr<Instance> instance, std::shared_ptr<Mailbox> mailbox,
                             std::shared_ptr<OutputSink> sink, const GenerateOptions& options,
                             const LLMConfig& merged, std::string request_id)
    : instance_(std::move(instance)),
      mailbox_(std::move(mailbox)),
      sink_(std::move(sink)),
      kind_(options.output_kind),
      n_(static_cast<std::size_t>(merged.n.value_or(1))),
      want_logprobs_(merged.logprobs.has_value()),
      want_prompt_logprobs_(merged.prompt_logprobs.has_value()) {
  output_.request_id = std::move(request_id);
  output_.outputs.resize(static_cast<std::size_t>(n_choices(merged)));
  number_outputs();
  if (options.stop_token.stop_possible()) {
    on_stop_.emplace(options.stop_token, [weak = std::weak_ptr<OutputSink>(sink_)] {
      if (const auto alive = weak.lock()) alive->cancel();
    });
  }
}

RequestReader::~RequestReader() {
  if (!instance_->is_of_this_process()) return;
  mailbox_->abandon();
  if (!output_.finished) sink_->cancel();
}

void RequestReader::cancel() noexcept { sink_->cancel(); }

bool RequestReader::is_ready(Until until) {
  return output_.finished || mailbox_->ready(until == Until::kOutput ? Mailbox::Until::kUpdate
                                                                     : Mailbox::Until::kAccepted);
}

bool RequestReader::suspend(std::coroutine_handle<> handle, Until until) {
  return mailbox_->suspend(
      handle, until == Until::kOutput ? Mailbox::Until::kUpdate : Mailbox::Until::kAccepted);
}

void RequestReader::require_accepted() {
  if (mailbox_->is_refused()) next();
}

const GenerationOutput* RequestReader::next() {
  if (output_.finished) return nullptr;
  instance_->runtime().require_this_process();
  if (instance_->runtime().output()->runs_here() && !mailbox_->ready()) {
    base::fail(ErrorCode::kInvalidArgument,
               "stream: the thread that makes the answers would wait for itself (an executor that "
               "resumes in place must not wait)");
  }
  Update update = mailbox_->wait();
  if (update.error) {
    output_.finished = true;
    throw Error(*update.error);
  }
  merge(std::move(update));
  return &output_;
}

void RequestReader::merge(Update update) {
  if (update.prompt) {
    output_.prompt = std::move(update.prompt->text);
    output_.prompt_token_ids = std::move(update.prompt->token_ids);
    output_.usage.n_prompt_tokens = static_cast<std::int64_t>(output_.prompt_token_ids->size());
    receipt_ = std::move(update.receipt);
  }
  // A prompt of one token has no position that the engine could report.
  const bool is_single = output_.prompt_token_ids && output_.prompt_token_ids->size() == 1;
  if (want_prompt_logprobs_ && is_single && !output_.prompt_logprobs)
    output_.prompt_logprobs.emplace(1);
  if (!update.prompt_logprobs.empty()) {
    if (!output_.prompt_logprobs) output_.prompt_logprobs.emplace();
    append(*output_.prompt_logprobs, std::move(update.prompt_logprobs));
  }
  append(prompt_logits_, std::move(update.prompt_logits));
  append(pooled_, std::move(update.pooled));
  output_.n_cached_tokens = std::max(output_.n_cached_tokens, update.n_cached_tokens);
  output_.usage.n_cached_tokens = output_.n_cached_tokens;
  output_.timing = update.timing;
  output_.finished = update.finished;
  for (std::size_t i = 0; i < output_.outputs.size(); ++i) {
    ChoiceUpdate& delta = update.choices[i];
    CompletionChunk& chunk = output_.outputs[i];
    if (kind_ == OutputKind::kDelta) {
      chunk.text.clear();
      chunk.token_ids.clear();
      chunk.logprobs.reset();
    }
    chunk.delta = content_of(delta.segments);
    chunk.text += chunk.delta;
    chunk.n_delta_tokens = delta.token_ids.size();
    output_.usage.n_completion_tokens += static_cast<std::int64_t>(delta.token_ids.size());
    chunk.cumulative_logprob += delta.logprob_sum;
    append(chunk.token_ids, std::move(delta.token_ids));
    if (want_logprobs_) {
      if (!chunk.logprobs) chunk.logprobs.emplace();
      append(*chunk.logprobs, std::move(delta.logprobs));
    }
    if (delta.finish_reason) chunk.finish_reason = delta.finish_reason;
    if (kind_ == OutputKind::kDelta && !receipt_.is_null()) keep_whole(chunk);
  }
  if (output_.finished) keep_best();
  if (output_.finished && !receipt_.is_null()) write_receipt();
}

void RequestReader::keep_whole(const CompletionChunk& chunk) {
  const auto index = static_cast<std::size_t>(chunk.index);
  if (for_receipt_.size() <= index) for_receipt_.resize(index + 1);
  CompletionChunk& whole = for_receipt_[index];
  whole.index = chunk.index;
  whole.text += chunk.text;
  whole.token_ids.insert(whole.token_ids.end(), chunk.token_ids.begin(), chunk.token_ids.end());
  whole.finish_reason = chunk.finish_reason;
}

void RequestReader::write_receipt() {
  const bool is_delta = kind_ == OutputKind::kDelta;
  output_.receipt = end_receipt(std::move(receipt_), output_.request_id,
                                is_delta ? for_receipt_ : output_.outputs);
}

/// Of more choices than were asked for, leaves the most likely; the first made among equals.
void RequestReader::keep_best() {
  if (output_.outputs.size() <= n_) return;
  std::stable_sort(output_.outputs.begin(), output_.outputs.end(),
                   [](const CompletionChunk& a, const CompletionChunk& b) {
                     return a.cumulative_logprob > b.cumulative_logprob;
                   });
  output_.outputs.resize(n_);
  number_outputs();
}

void RequestReader::number_outputs() {
  int index = 0;
  for (CompletionChunk& chunk : output_.outputs) chunk.index = index++;
}

}  // namespace openllm::llm
