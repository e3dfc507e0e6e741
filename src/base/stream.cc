#include "openllm/stream.h"

#include <utility>

namespace openllm {

using Until = detail::OutputSource::Until;

GenerationStream::GenerationStream(std::shared_ptr<detail::OutputSource> request)
    : request_(std::move(request)) {}
GenerationStream::~GenerationStream() = default;
GenerationStream::GenerationStream(GenerationStream&&) noexcept = default;
GenerationStream& GenerationStream::operator=(GenerationStream&&) noexcept = default;
const GenerationOutput* GenerationStream::next() {
  return request_ == nullptr ? nullptr : request_->next();
}
void GenerationStream::cancel() noexcept {
  if (request_ != nullptr) request_->cancel();
}

AsyncGenerationStream::AsyncGenerationStream(std::shared_ptr<detail::OutputSource> request)
    : request_(std::move(request)) {}
AsyncGenerationStream::AsyncGenerationStream(GenerationStream stream)
    : request_(std::move(stream.request_)) {}
AsyncGenerationStream::~AsyncGenerationStream() = default;
AsyncGenerationStream::AsyncGenerationStream(AsyncGenerationStream&&) noexcept = default;
AsyncGenerationStream& AsyncGenerationStream::operator=(AsyncGenerationStream&&) noexcept = default;
void AsyncGenerationStream::cancel() noexcept {
  if (request_ != nullptr) request_->cancel();
}

bool AsyncGenerationStream::NextAwaiter::await_ready() {
  return request_ == nullptr || request_->is_ready(Until::kOutput);
}
bool AsyncGenerationStream::NextAwaiter::await_suspend(std::coroutine_handle<> awaiting) {
  return request_->suspend(awaiting, Until::kOutput);
}
const GenerationOutput* AsyncGenerationStream::NextAwaiter::await_resume() {
  return request_ == nullptr ? nullptr : request_->next();
}

bool AsyncGenerationStream::AcceptedAwaiter::await_ready() {
  return request_ == nullptr || request_->is_ready(Until::kAccepted);
}
bool AsyncGenerationStream::AcceptedAwaiter::await_suspend(std::coroutine_handle<> awaiting) {
  return request_->suspend(awaiting, Until::kAccepted);
}
void AsyncGenerationStream::AcceptedAwaiter::await_resume() {
  if (request_ != nullptr) request_->require_accepted();
}

}  // namespace openllm
