#pragma once

#include <new>
#include <utility>

namespace openllm {

/// A T that survives g++ 12: there, an aggregate that is made within a `co_await` expression, as
/// the options of `co_await llm.async_generate("Once", {.request_id = "a"})`, gets its members as
/// bytes of temporaries, and both are destroyed. (GCC 98056 and its like; clang does it right.) An
/// object knows by its own address whether it is such a copy, which then is read but never owns
/// anything. Everything else is as with T.
template <typename T>
class CoAwaitSafe : public T {
 public:
  using T::T;
  using T::operator=;
  CoAwaitSafe() = default;
  CoAwaitSafe(const T& value) : T(value) {}                 // NOLINT(*-explicit-*)
  CoAwaitSafe(T&& value) noexcept : T(std::move(value)) {}  // NOLINT(*-explicit-*)
  CoAwaitSafe(const CoAwaitSafe& other) : T(static_cast<const T&>(other)) {}
  CoAwaitSafe(CoAwaitSafe&& other)  // NOLINT(*-noexcept-*): copies from a copy of bytes
      : T(other.is_bytes() ? T(static_cast<const T&>(other)) : T(std::move(other.value()))) {}
  CoAwaitSafe& operator=(const CoAwaitSafe& other) {  // NOLINT(*-self-assignment): as T does it
    T::operator=(static_cast<const T&>(other));
    return *this;
  }
  CoAwaitSafe& operator=(CoAwaitSafe&& other) {  // NOLINT(*-noexcept-*)
    if (other.is_bytes()) {
      T::operator=(static_cast<const T&>(other));
    } else {
      T::operator=(std::move(other.value()));
    }
    return *this;
  }
  ~CoAwaitSafe() {
    // The bytes point to things that belong to the temporary: forget them.
    if (is_bytes()) ::new (static_cast<void*>(&value())) T();
  }

 private:
  T& value() noexcept { return *this; }
  bool is_bytes() const noexcept { return self_ != this; }

  const void* self_ = this;
};

}  // namespace openllm
