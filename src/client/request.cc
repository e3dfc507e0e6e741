#include "client/request.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"

namespace openllm::client {
namespace {

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void append_choice(CompletionChunk& to, const CompletionChunk& delta) {
  to.index = delta.index;
  to.text += delta.text;
  to.delta += delta.text;
  to.n_delta_tokens += delta.n_delta_tokens;
  to.cumulative_logprob = delta.cumulative_logprob;  // counts from the beginning in every kind
  append(to.token_ids, delta.token_ids);
  if (delta.logprobs) {
    if (!to.logprobs) to.logprobs.emplace();
    append(*to.logprobs, *delta.logprobs);
  }
  if (delta.finish_reason) to.finish_reason = delta.finish_reason;
}

}  // namespace

void append_delta(GenerationOutput& to, const GenerationOutput& delta, OutputKind kind) {
  to.outputs.resize(delta.outputs.size());
  for (std::size_t i = 0; i < to.outputs.size(); ++i) {
    CompletionChunk& chunk = to.outputs[i];
    chunk.delta.clear();
    chunk.n_delta_tokens = 0;
    if (kind == OutputKind::kDelta) {
      chunk.text.clear();
      chunk.token_ids.clear();
      chunk.logprobs.reset();
    }
    append_choice(chunk, delta.outputs[i]);
  }
  to.prompt = delta.prompt;
  to.finished = delta.finished;
  if (delta.prompt_token_ids) to.prompt_token_ids = delta.prompt_token_ids;
  if (delta.prompt_logprobs) to.prompt_logprobs = delta.prompt_logprobs;
  to.request_id = delta.request_id;
  to.n_cached_tokens = delta.n_cached_tokens;
  to.usage = delta.usage;
  to.timing = delta.timing;
  to.receipt = delta.receipt;
}

bool Request::Shared::is_ready(Until until) const noexcept {
  return is_over || (news && (until == Until::kAccepted || !only_final));
}

/// The parts that nobody has read yet stay new.
void Request::Shared::add(const GenerationOutput& delta) {
  const base::MutexLock lock(mutex);
  if (!news) {
    news = delta;
    return;
  }
  GenerationOutput merged = delta;
  for (std::size_t i = 0; i < std::min(merged.outputs.size(), news->outputs.size()); ++i) {
    CompletionChunk chunk = std::move(news->outputs[i]);
    append_choice(chunk, delta.outputs[i]);
    merged.outputs[i] = std::move(chunk);
  }
  if (!merged.prompt_token_ids) merged.prompt_token_ids = news->prompt_token_ids;
  if (!merged.prompt_logprobs) merged.prompt_logprobs = news->prompt_logprobs;
  news = std::move(merged);
}

void Request::Shared::end(std::exception_ptr error) {
  const base::MutexLock lock(mutex);
  failure = std::move(error);
  is_over = true;
}

void Request::Shared::resume_waiter() {
  std::coroutine_handle<> handle;
  {
    const base::MutexLock lock(mutex);
    if (is_ready(waits_for)) handle = std::exchange(waiter, {});
  }
  if (handle) handle.resume();
}

/// Tells the reader. A coroutine goes on through the request's executor, or on this thread.
void Request::wake(const std::shared_ptr<Shared>& shared) {
  {
    const base::MutexLock lock(shared->mutex);
    shared->wake.notify_all();
    if (!shared->waiter || !shared->is_ready(shared->waits_for)) return;
  }
  if (shared->executor) {
    try {
      shared->executor([shared] { shared->resume_waiter(); });
      return;
    } catch (...) {  // as GenerateOptions::executor says: then here
    }
  }
  shared->resume_waiter();
}

Request::Request(Call call, const GenerateOptions& options) : kind_(options.output_kind) {
  shared_->only_final = options.output_kind == OutputKind::kFinalOnly;
  shared_->executor = options.executor;
  if (options.stop_token.stop_possible()) {
    on_stop_.emplace(options.stop_token, [stop = shared_->stop]() mutable { stop.request_stop(); });
  }
  thread_ = base::start_thread([shared = shared_, call = std::move(call)] {
    std::exception_ptr failure;
    try {
      call(shared->stop.get_token(), [&](const GenerationOutput& delta) {
        shared->add(delta);
        wake(shared);
      });
    } catch (...) {
      failure = std::current_exception();
    }
    shared->end(std::move(failure));
    wake(shared);
  });
}

Request::~Request() {
  on_stop_.reset();
  {
    const base::MutexLock lock(shared_->mutex);
    shared_->waiter = {};
  }
  cancel();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // a coroutine that goes on there has dropped its stream
  } else {
    thread_.join();
  }
}

void Request::cancel() noexcept { shared_->stop.request_stop(); }

bool Request::is_ready(Until until) {
  if (is_over_) return true;
  const base::MutexLock lock(shared_->mutex);
  return shared_->is_ready(until);
}

bool Request::suspend(std::coroutine_handle<> handle, Until until) {
  const base::MutexLock lock(shared_->mutex);
  if (shared_->is_ready(until)) return false;
  if (shared_->waiter)  // it would never be resumed
    base::fail(ErrorCode::kInvalidArgument, "stream: another coroutine waits for it already");
  shared_->waiter = handle;
  shared_->waits_for = until;
  return true;
}

void Request::require_accepted() {
  {
    const base::MutexLock lock(shared_->mutex);
    if (is_over_ || shared_->news || !shared_->failure) return;
  }
  next();
}

const GenerationOutput* Request::next() {
  if (is_over_) return nullptr;
  GenerationOutput news;
  {
    base::MutexLock lock(shared_->mutex);
    while (!shared_->is_ready(Until::kOutput)) shared_->wake.wait(lock);
    is_over_ = shared_->failure || !shared_->news;
    if (shared_->failure) std::rethrow_exception(std::exchange(shared_->failure, nullptr));
    if (is_over_) return nullptr;
    news = std::move(*shared_->news);
    shared_->news.reset();
  }
  append_delta(output_, news, kind_);
  is_over_ = output_.finished;
  return &output_;
}

}  // namespace openllm::client
