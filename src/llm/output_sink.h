#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/failure.h"
#include "base/mutex.h"
#include "base/worker.h"
#include "engine/request.h"
#include "llm/answer_text.h"
#include "llm/mailbox.h"
#include "llm/pooler.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// Receives a request's tokens on the engine thread and turns them into segments of text on the
/// output thread. Tells the backend when a stop string ends a choice.
class OutputSink final : public engine::EventSink, public std::enable_shared_from_this<OutputSink> {
 public:
  OutputSink(std::string request_id, int n_choices, std::shared_ptr<Mailbox> mailbox,
             std::shared_ptr<base::Worker> output);

  /// Before the request is submitted. `tokenizer` may be null: no text. It is kept alive.
  void configure(TextRules rules, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                 std::weak_ptr<backend::Backend> backend);

  /// The same for a request that is embedded: it has no text, but hidden states.
  void configure(Pooler pooler, std::weak_ptr<backend::Backend> backend);

  void on_start(base::Clock::TimePoint when) noexcept override;
  void on_prompt_logprobs(int first, std::vector<engine::TokenEvent> events) noexcept override;
  void on_prompt_logits(int first, int n, const float* logits) noexcept override;
  void on_prompt_hidden(int first, int n, const float* rows) noexcept override;
  void on_token(int choice, engine::TokenEvent event) noexcept override;
  void on_end(int choice, FinishReason reason, int n_cached_tokens,
              const base::Failure& failure) noexcept override;

  /// Marks the request as cancelled and cancels it in the backend if it got there.
  void cancel() noexcept;
  bool is_cancelled() const noexcept { return cancelled_.load(); }
  /// Every choice has ended.
  bool has_ended() const noexcept { return ended_.load(); }
  /// Ends every choice without the engine: the request was cancelled or failed before it was
  /// submitted, or there is no memory for what it made.
  void end_all(const base::Failure* failure);

 private:
  struct End {
    FinishReason reason;
    int n_cached_tokens;
    base::Failure failure;
  };
  struct Event {
    int choice;
    std::variant<engine::TokenEvent, End> what;
  };
  struct Choice {
    std::optional<AnswerText> text;  ///< Without a tokenizer there is none.
    bool ended = false;
    int n_untold = 0;      ///< Tokens since the reader was last told.
    bool is_told = false;  ///< The reader knows of its first token,
    bool end_is_told = false;
  };

  template <typename Body>
  void guarded(Body body) noexcept;
  void push(Event event) noexcept;
  void drain();
  void tell_late_stops();
  bool take_due() noexcept;
  void measure(Update& update) noexcept;
  void handle_token(Update& update, int index, const engine::TokenEvent& event);
  void handle_end(Update& update, int index, const End& end);

  const std::string request_id_;
  const std::shared_ptr<Mailbox> mailbox_;
  const std::shared_ptr<base::Worker> output_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  TextRules rules_;
  std::optional<Pooler> pooler_;  // engine thread until the end, then output thread
  std::vector<Choice> choices_;   // output thread only
  std::vector<int> late_stops_;   // output thread only: choices that a stop string ended

  using TimePoint = base::Clock::TimePoint;
  const TimePoint submitted_ = std::chrono::steady_clock::now();
  std::atomic<TimePoint> started_{kNever};
  std::atomic<TimePoint> first_token_{kNever};
  static constexpr TimePoint kNever = TimePoint::max();

  base::Mutex mutex_;
  std::vector<Event> events_ GUARDED_BY(mutex_);
  bool scheduled_ GUARDED_BY(mutex_) = false;
  std::weak_ptr<backend::Backend> backend_ GUARDED_BY(mutex_);
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> ended_{false};
};

}  // namespace openllm::llm
