#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/json.h"
#include "base/mutex.h"
#include "chat/answer_parser.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

namespace openllm::llm {

/// Additions to one choice since the reader last looked.
struct ChoiceUpdate {
  chat::Segments segments{};
  std::vector<std::int32_t> token_ids{};
  std::vector<TokenLogprobs> logprobs{};
  double logprob_sum = 0.0;
  std::optional<FinishReason> finish_reason{};
};

/// The prompt as it was sent to the engine.
struct PreparedPrompt {
  std::string text{};
  std::vector<std::int32_t> token_ids{};
};

/// Everything that arrived since the reader last looked, merged.
struct Update {
  std::vector<ChoiceUpdate> choices{};
  std::optional<PreparedPrompt> prompt{};
  std::vector<TokenLogprobs> prompt_logprobs{};
  std::vector<float> prompt_logits{};
  std::vector<float> pooled{};  ///< The vector of an input that is embedded; comes with the end.
  base::Json receipt{};         ///< Its beginning, where one is wanted; comes with the prompt.
  std::int64_t n_cached_tokens = 0;
  Timing timing{};
  std::optional<Error> error{};  ///< The request failed; nothing follows.
  bool finished = false;         ///< Every choice has ended; nothing follows.
};

/// Connects the threads that make an answer with the one that reads it. Merges what arrives between
/// two reads, so a slow reader costs nobody anything and a long answer costs O(n). One reader at a
/// time.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  /// `only_final`: the reader is woken at the end only. `executor` resumes coroutines; must not be
  /// empty.
  Mailbox(int n_choices, bool only_final, Executor executor);

  /// Changes the pending update under the lock and wakes the reader.
  void post(base::FunctionRef<void(Update&)> change);
  /// The same, but wakes the reader only when `change` says so; else the reader sees it with the
  /// next one that does.
  void post_if(base::FunctionRef<bool(Update&)> change);
  /// The same without waking anybody: the reader sees it with the next `post`.
  void post_quietly(base::FunctionRef<void(Update&)> change);

  /// The engine has taken the request. (One that ends before that is told of by `post`.)
  void post_accepted();

  /// Event that a reader waits for: an update, or the decision whether the request is accepted.
  enum class Until { kUpdate, kAccepted };
  /// Blocks until there is something, and takes it.
  Update wait();
  /// True when `wait` would not block; for kAccepted, when that has been decided.
  bool ready(Until until = Until::kUpdate);
  /// `handle` is resumed through the executor once `ready`. False when it is already: do not
  /// suspend. Throws kInvalidArgument while another one waits.
  bool suspend(std::coroutine_handle<> handle, Until until = Until::kUpdate);
  /// The request ended with an error before it was accepted; `wait` gives the error.
  bool is_refused();
  /// Forgets the coroutine; it will not be resumed any more.
  void abandon() noexcept;

 private:
  bool is_ready(Until until) const noexcept REQUIRES(mutex_) {
    const bool is_over = has_update_ && (pending_.finished || pending_.error);
    return until == Until::kUpdate ? is_over || (has_update_ && !only_final_)
                                   : is_over || accepted_;
  }
  void resume_later();
  void resume_waiter();
  std::coroutine_handle<> take_waiter() noexcept REQUIRES(mutex_);
  void reset_pending() REQUIRES(mutex_);

  const std::size_t n_choices_;
  const bool only_final_;
  const Executor executor_;
  base::Mutex mutex_;
  base::CondVar wake_;
  Update pending_ GUARDED_BY(mutex_);
  bool has_update_ GUARDED_BY(mutex_) = false;
  bool accepted_ GUARDED_BY(mutex_) = false;
  std::coroutine_handle<> waiter_ GUARDED_BY(mutex_);
  Until waits_for_ GUARDED_BY(mutex_) = Until::kUpdate;  // the coroutine
};

}  // namespace openllm::llm
