#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "openllm/task.h"

namespace openllm {

namespace detail {

/// Counts the tasks that run, and one more while they are being started.
struct WhenAll {
  explicit WhenAll(std::size_t n_tasks) : n_left(n_tasks + 1) {}
  /// True for the last one.
  bool leave() noexcept { return n_left.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  std::atomic<std::size_t> n_left;
  std::coroutine_handle<> awaiting{};
};

/// What one of the tasks gave.
template <typename T>
struct WhenAllResult {
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  std::optional<Value> value{};
  std::exception_ptr error{};
};

/// A coroutine that belongs to nobody: starts at once, ends by itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }  // it catches all there are
  };
};

template <typename T>
Detached run_one_of(WhenAll& all, Task<T>& task, WhenAllResult<T>& result) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await task;
      result.value.emplace();
    } else {
      result.value.emplace(co_await task);
    }
  } catch (...) {
    result.error = std::current_exception();
  }
  if (all.leave()) all.awaiting.resume();
}

/// Starts the tasks and suspends until all have ended.
template <typename Start>
struct WhenAllAwaiter {
  WhenAll& all;
  Start start;

  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    all.awaiting = awaiting;
    start();
    return !all.leave();
  }
  void await_resume() noexcept {}
};

}  // namespace detail

/// Runs the tasks side by side and gives their results in order; a Task<void> gives
/// std::monostate. Waits for all of them, then throws the first exception in that order, if there
/// is any.
template <typename... Ts>
Task<std::tuple<typename detail::WhenAllResult<Ts>::Value...>> when_all(Task<Ts>... tasks) {
  detail::WhenAll all(sizeof...(Ts));
  std::tuple<detail::WhenAllResult<Ts>...> results;
  auto start = [&] {
    std::apply([&](auto&... result) { (detail::run_one_of(all, tasks, result), ...); }, results);
  };
  co_await detail::WhenAllAwaiter<decltype(start)&>{all, start};
  std::apply(
      [](auto&... result) {
        ((result.error ? std::rethrow_exception(result.error) : void()), ...);
      },
      results);
  co_return std::apply(
      [](auto&... result) {
        return std::tuple<typename detail::WhenAllResult<Ts>::Value...>(
            std::move(*result.value)...);
      },
      results);
}

/// The same for any number of tasks of one kind; Task<void> gives no results.
template <typename T>
Task<std::conditional_t<std::is_void_v<T>, void,
                        std::vector<typename detail::WhenAllResult<T>::Value>>>
when_all(std::vector<Task<T>> tasks) {
  detail::WhenAll all(tasks.size());
  std::vector<detail::WhenAllResult<T>> results(tasks.size());
  auto start = [&] {
    for (std::size_t i = 0; i < tasks.size(); ++i) detail::run_one_of(all, tasks[i], results[i]);
  };
  co_await detail::WhenAllAwaiter<decltype(start)&>{all, start};
  for (const auto& result : results) {
    if (result.error) std::rethrow_exception(result.error);
  }
  if constexpr (!std::is_void_v<T>) {
    std::vector<T> values;
    values.reserve(results.size());
    for (auto& result : results) values.push_back(std::move(*result.value));
    co_return values;
  }
}

}  // namespace openllm
