#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <coroutine>
#include <cstddef>
#include <iterator>
#include <memory>

#include "openllm/outputs.h"

namespace openllm {

namespace detail {

/// The request that a stream reads: of an LLM, or of a Client. For streams, not for programs.
/// Destroying it cancels what still runs.
class OutputSource {
 public:
  OutputSource() = default;
  OutputSource(const OutputSource&) = delete;
  OutputSource& operator=(const OutputSource&) = delete;
  virtual ~OutputSource() = default;

  /// As GenerationStream::next and cancel.
  virtual const GenerationOutput* next() = 0;
  virtual void cancel() noexcept = 0;

  enum class Until { kOutput, kAccepted };
  /// `next` would not block; or it is decided whether the request is accepted.
  virtual bool is_ready(Until until) = 0;
  /// `handle` is resumed once `is_ready`. False when it is already: do not suspend.
  virtual bool suspend(std::coroutine_handle<> handle, Until until) = 0;
  /// Throws what is wrong with a request that was not accepted.
  virtual void require_accepted() = 0;
};

}  // namespace detail

/// The outputs of one request as an input range. Destroying it cancels what is still running.
/// Thread safety: one thread at a time. `cancel` may be called from any thread.
/// Outputs that arrive between two reads are merged, so a slow reader delays nobody.
/// One that was moved from is at its end.
class OPENLLM_API GenerationStream {
 public:
  explicit GenerationStream(std::shared_ptr<detail::OutputSource> request);
  ~GenerationStream();
  GenerationStream(GenerationStream&&) noexcept;
  GenerationStream& operator=(GenerationStream&&) noexcept;

  /// Waits for the next output; null after the one with `finished`. Valid until the next call.
  /// Throws openllm::Error when the request failed.
  const GenerationOutput* next();
  /// Ends the request: its last output has FinishReason::kCancelled, unless it had ended before.
  void cancel() noexcept;

  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = GenerationOutput;
    using difference_type = std::ptrdiff_t;
    using pointer = const GenerationOutput*;
    using reference = const GenerationOutput&;

    Iterator() = default;
    explicit Iterator(GenerationStream* stream) : stream_(stream) { ++*this; }
    reference operator*() const noexcept { return *current_; }
    pointer operator->() const noexcept { return current_; }
    Iterator& operator++() {
      current_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return current_ == nullptr; }

   private:
    GenerationStream* stream_ = nullptr;
    const GenerationOutput* current_ = nullptr;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class AsyncGenerationStream;
  std::shared_ptr<detail::OutputSource> request_;
};

/// The same for coroutines: `while (const auto* out = co_await stream.next()) ...`.
/// Destroying it cancels what is still running. One coroutine at a time may wait; a second one gets
/// kInvalidArgument.
class OPENLLM_API AsyncGenerationStream {
 public:
  explicit AsyncGenerationStream(std::shared_ptr<detail::OutputSource> request);
  /// The same request, read by a coroutine from here on.
  explicit AsyncGenerationStream(GenerationStream stream);
  ~AsyncGenerationStream();
  AsyncGenerationStream(AsyncGenerationStream&&) noexcept;
  AsyncGenerationStream& operator=(AsyncGenerationStream&&) noexcept;

  class OPENLLM_API NextAwaiter {
   public:
    explicit NextAwaiter(detail::OutputSource* request) : request_(request) {}
    bool await_ready();
    bool await_suspend(std::coroutine_handle<> awaiting);
    const GenerationOutput* await_resume();

   private:
    detail::OutputSource* request_;
  };
  /// Awaits the next output; null after the one with `finished`. Valid until the next call.
  NextAwaiter next() { return NextAwaiter(request_.get()); }

  class OPENLLM_API AcceptedAwaiter {
   public:
    explicit AcceptedAwaiter(detail::OutputSource* request) : request_(request) {}
    bool await_ready();
    bool await_suspend(std::coroutine_handle<> awaiting);
    void await_resume();

   private:
    detail::OutputSource* request_;
  };
  /// Awaits that the request has been tokenized, checked and queued, or has ended. Throws what is
  /// wrong with it; then `next` gives null. Not needed: `next` throws the same.
  AcceptedAwaiter accepted() { return AcceptedAwaiter(request_.get()); }
  /// As GenerationStream::cancel.
  void cancel() noexcept;

 private:
  std::shared_ptr<detail::OutputSource> request_;
};

}  // namespace openllm
