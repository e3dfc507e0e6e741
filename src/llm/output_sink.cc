#include "llm/output_sink.h"

#include <algorithm>
#include <utility>

namespace openllm::llm {
namespace {

/// The chosen token first, then the top ones without it.
TokenLogprobs logprob_list(const engine::TokenEvent& event) {
  TokenLogprobs list;
  list.reserve(event.top.size() + 1);
  list.push_back({event.token, event.logprob});
  for (const TokenLogprob& entry : event.top) {
    if (entry.token_id != event.token) list.push_back(entry);
  }
  return list;
}

}  // namespace

OutputSink::OutputSink(std::string request_id, int n_choices, std::shared_ptr<Mailbox> mailbox,
                       std::shared_ptr<base::Worker> output)
    : request_id_(std::move(request_id)),
      mailbox_(std::move(mailbox)),
      output_(std::move(output)),
      choices_(static_cast<std::size_t>(n_choices)) {}

void OutputSink::configure(TextRules rules, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                           std::weak_ptr<backend::Backend> backend) {
  rules_ = std::move(rules);
  tokenizer_ = std::move(tokenizer);
  for (Choice& choice : choices_) {
    if (tokenizer_ != nullptr) choice.text.emplace(rules_, *tokenizer_);
  }
  const base::MutexLock lock(mutex_);
  backend_ = std::move(backend);
}

void OutputSink::configure(Pooler pooler, std::weak_ptr<backend::Backend> backend) {
  pooler_.emplace(std::move(pooler));
  const base::MutexLock lock(mutex_);
  backend_ = std::move(backend);
}

/// Runs work of the engine's or the output thread for this request. A lack of memory ends the
/// request; the others go on.
template <typename Body>
void OutputSink::guarded(Body body) noexcept {
  try {
    body();
  } catch (const std::exception& error) {
    const base::Failure failure = base::failure_of(error);
    end_all(&failure);
    cancel();
  }
}

void OutputSink::on_start(base::Clock::TimePoint when) noexcept { started_.store(when); }

void OutputSink::on_prompt_logprobs(int /*first*/,
                                    std::vector<engine::TokenEvent> events) noexcept {
  guarded([&] {
    mailbox_->post_quietly([&](Update& update) {
      if (update.prompt_logprobs.empty())
        update.prompt_logprobs.emplace_back();  // nothing precedes position 0
      for (const engine::TokenEvent& event : events)
        update.prompt_logprobs.push_back(logprob_list(event));
    });
  });
}

void OutputSink::on_prompt_logits(int /*first*/, int n, const float* logits) noexcept {
  const std::size_t count = static_cast<std::size_t>(n) * rules_.vocab_size;
  guarded([&] {
    mailbox_->post_quietly([&](Update& update) {
      update.prompt_logits.insert(update.prompt_logits.end(), logits, logits + count);
    });
  });
}

void OutputSink::on_prompt_hidden(int /*first*/, int n, const float* rows) noexcept {
  if (pooler_) pooler_->add(n, rows);
}

void OutputSink::on_token(int choice, engine::TokenEvent event) noexcept {
  push({choice, std::move(event)});
}

void OutputSink::on_end(int choice, FinishReason reason, int n_cached_tokens,
                        const base::Failure& failure) noexcept {
  push({choice, End{reason, n_cached_tokens, failure}});
}

void OutputSink::push(Event event) noexcept {
  guarded([&] {
    {
      const base::MutexLock lock(mutex_);
      // A last token waits for the end that comes with it: readers see both in one output.
      const auto* token = std::get_if<engine::TokenEvent>(&event.what);
      const bool waits = token != nullptr && token->is_last;
      events_.push_back(std::move(event));
      if (scheduled_ || waits) return;
      scheduled_ = true;
    }
    output_->post([self = shared_from_this()] { self->guarded([&] { self->drain(); }); });
  });
}

void OutputSink::drain() {
  std::vector<Event> events;
  {
    const base::MutexLock lock(mutex_);
    events.swap(events_);
    scheduled_ = false;
  }
  mailbox_->post_if([&](Update& update) {
    for (Event& event : events) {
      if (auto* token = std::get_if<engine::TokenEvent>(&event.what)) {
        handle_token(update, event.choice, *token);
      } else {
        handle_end(update, event.choice, std::get<End>(event.what));
      }
    }
    update.finished =
        std::all_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.ended; });
    if (update.finished) ended_.store(true);
    measure(update);
    return take_due();
  });
  if (!late_stops_.empty()) tell_late_stops();
}

/// Holds the backend no longer than it takes: what unloads it wants its memory back.
void OutputSink::tell_late_stops() {
  std::shared_ptr<backend::Backend> backend;
  {
    const base::MutexLock lock(mutex_);
    backend = backend_.lock();
  }
  for (const int choice : late_stops_) {
    if (backend != nullptr) backend->stop_choice(request_id_, choice);
  }
  late_stops_.clear();
}

/// Whether the reader is to be told now: at the first token of a choice, at its end, and when it
/// has had enough tokens since. Then all choices begin to count again.
bool OutputSink::take_due() noexcept {
  const bool is_due = std::any_of(choices_.begin(), choices_.end(), [&](const Choice& c) {
    return c.n_untold >= rules_.stream_interval || (!c.is_told && c.n_untold > 0) ||
           (c.ended && !c.end_is_told);
  });
  if (!is_due) return false;
  for (Choice& choice : choices_) {
    choice.is_told = choice.is_told || choice.n_untold > 0;
    choice.n_untold = 0;
    choice.end_is_told = choice.ended;
  }
  return true;
}

/// The times that `update` can tell.
void OutputSink::measure(Update& update) noexcept {
  const auto since = [&](TimePoint when) {
    return std::chrono::duration<double>(when - submitted_).count();
  };
  const TimePoint now = std::chrono::steady_clock::now();
  const TimePoint started = started_.load();
  const TimePoint first_token = first_token_.load();
  if (started != kNever) update.timing.queued_s = since(started);
  if (first_token != kNever) update.timing.first_token_s = since(first_token);
  update.timing.total_s = since(now);
}

void OutputSink::handle_token(Update& update, int index, const engine::TokenEvent& event) {
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  if (choice.ended) return;  // sampled before the engine learned of a stop string
  if (first_token_.load() == kNever) first_token_.store(std::chrono::steady_clock::now());
  ++choice.n_untold;
  ChoiceUpdate& delta = update.choices[static_cast<std::size_t>(index)];
  delta.token_ids.push_back(event.token);
  delta.logprob_sum += static_cast<double>(event.logprob);
  if (rules_.want_logprobs) delta.logprobs.push_back(logprob_list(event));
  if (!choice.text) return;

  choice.text->push(event.token, delta.segments);
  if (choice.text->stopped()) {
    choice.ended = true;
    delta.finish_reason = FinishReason::kStop;
    late_stops_.push_back(index);
  }
}

void OutputSink::handle_end(Update& update, int index, const End& end) {
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  update.n_cached_tokens = std::max<std::int64_t>(update.n_cached_tokens, end.n_cached_tokens);
  if (choice.ended) return;
  choice.ended = true;
  ChoiceUpdate& delta = update.choices[static_cast<std::size_t>(index)];
  delta.finish_reason = end.reason;
  if (choice.text) {
    choice.text->flush(delta.segments);
    if (choice.text->stopped()) delta.finish_reason = FinishReason::kStop;
  }
  if (pooler_ && end.reason == FinishReason::kLength) update.pooled = pooler_->take();
  if (end.reason == FinishReason::kError) update.error.emplace(base::to_error(end.failure));
}

void OutputSink::cancel() noexcept {
  cancelled_.store(true);
  std::shared_ptr<backend::Backend> backend;
  {
    const base::MutexLock lock(mutex_);
    backend = backend_.lock();
  }
  if (backend != nullptr) backend->cancel(request_id_);
}

void OutputSink::end_all(const base::Failure* failure) {
  ended_.store(true);
  mailbox_->post([&](Update& update) {
    if (failure != nullptr) update.error.emplace(base::to_error(*failure));
    for (ChoiceUpdate& choice : update.choices) {
      choice.finish_reason = failure != nullptr ? FinishReason::kError : FinishReason::kCancelled;
    }
    update.finished = true;
    measure(update);
  });
}

}  // namespace openllm::llm
