#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include "openllm/error.h"

namespace openllm {

namespace detail {
/// g++ before 14 destroys an aggregate that is made within a co_yield expression twice.
template <typename T>
inline constexpr bool kCanYieldTemporary =
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 14
    !std::is_aggregate_v<T> || std::is_trivially_destructible_v<T>;
#else
    true;
#endif

/// Owns a coroutine.
template <typename Promise>
class CoroutineOwner {
 public:
  using Handle = std::coroutine_handle<Promise>;

  explicit CoroutineOwner(Handle handle) noexcept : handle_(handle) {}
  CoroutineOwner(CoroutineOwner&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  CoroutineOwner& operator=(CoroutineOwner&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  CoroutineOwner(const CoroutineOwner&) = delete;
  CoroutineOwner& operator=(const CoroutineOwner&) = delete;
  ~CoroutineOwner() {
    if (handle_) handle_.destroy();
  }
  Handle get() const noexcept { return handle_; }

 private:
  Handle handle_;
};

/// What a body has made: a value, the end (null), or an exception.
template <typename T>
struct Yielded {
  T* value = nullptr;
  std::exception_ptr error{};

  void return_void() noexcept { value = nullptr; }
  void unhandled_exception() noexcept {
    value = nullptr;
    error = std::current_exception();
  }
  void put(T& what) noexcept { value = std::addressof(what); }
  void put(T&& what) noexcept {
    static_assert(kCanYieldTemporary<T>,
                  "give it a name first (T value{...}; co_yield value;): this compiler would "
                  "destroy the temporary twice");
    put(what);
  }
  T* take() {
    if (error) std::rethrow_exception(std::exchange(error, {}));
    return value;
  }
};

}  // namespace detail

/// Values that a coroutine makes one by one with `co_yield`, as an input range. The body runs on
/// the thread that asks for the next value, and cannot `co_await` (AsyncGenerator can). Destroying
/// it ends the body where it stands. Thread safety: one thread at a time.
template <typename T>
class [[nodiscard]] Generator {
 public:
  struct promise_type : detail::Yielded<T> {
    Generator get_return_object() {
      return Generator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(T& what) noexcept {
      this->put(what);
      return {};
    }
    std::suspend_always yield_value(T&& what) noexcept {
      this->put(std::move(what));
      return {};
    }
    template <typename U>
    std::suspend_never await_transform(U&&) = delete;
  };

  /// The next value; null after the last one. Valid until the next call. Throws what the body
  /// throws.
  T* next() {
    const auto body = body_.get();
    if (!body || body.done()) return nullptr;
    body.resume();
    return body.promise().take();
  }

  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    Iterator() = default;
    explicit Iterator(Generator* generator) : generator_(generator) { ++*this; }
    reference operator*() const noexcept { return *current_; }
    pointer operator->() const noexcept { return current_; }
    Iterator& operator++() {
      current_ = generator_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return current_ == nullptr; }

   private:
    Generator* generator_ = nullptr;
    T* current_ = nullptr;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  explicit Generator(std::coroutine_handle<promise_type> body) : body_(body) {}

  detail::CoroutineOwner<promise_type> body_;
};

/// The same for coroutines: the body may `co_await`, and whoever reads does:
/// `while (const T* value = co_await generator.next()) ...`. One coroutine at a time may wait. It
/// must not be destroyed while one does.
template <typename T>
class [[nodiscard]] AsyncGenerator {
 public:
  struct promise_type : detail::Yielded<T> {
    std::coroutine_handle<> reader{};

    AsyncGenerator get_return_object() {
      return AsyncGenerator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    struct ToReader {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> body) noexcept {
        return body.promise().reader;
      }
      void await_resume() const noexcept {}
    };
    std::suspend_always initial_suspend() noexcept { return {}; }
    ToReader final_suspend() noexcept { return {}; }
    ToReader yield_value(T& what) noexcept {
      this->put(what);
      return {};
    }
    ToReader yield_value(T&& what) noexcept {
      this->put(std::move(what));
      return {};
    }
  };

  class NextAwaiter {
   public:
    explicit NextAwaiter(std::coroutine_handle<promise_type> body) noexcept : body_(body) {}
    bool await_ready() const noexcept { return !body_ || body_.done(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> reader) noexcept {
      body_.promise().reader = reader;
      return body_;
    }
    T* await_resume() const { return body_ ? body_.promise().take() : nullptr; }

   private:
    std::coroutine_handle<promise_type> body_;
  };
  /// Awaits the next value; null after the last one. Valid until the next call. Throws what the
  /// body throws.
  NextAwaiter next() noexcept { return NextAwaiter(body_.get()); }

 private:
  explicit AsyncGenerator(std::coroutine_handle<promise_type> body) : body_(body) {}

  detail::CoroutineOwner<promise_type> body_;
};

}  // namespace openllm
