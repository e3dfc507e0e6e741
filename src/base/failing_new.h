#pragma once

// Test support: lets one allocation fail. Defines the global operator new, so exactly one file of a
// test program may include it.

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace openllm::base {

/// Allocations of this thread until one fails; < 0: none does.
inline thread_local long allocations_until_failure = -1;

/// While it lives, allocation number `n` (from 0) of this thread throws std::bad_alloc, once.
class FailingNew {
 public:
  explicit FailingNew(long n) { allocations_until_failure = n; }
  ~FailingNew() { allocations_until_failure = -1; }
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  bool has_failed() const noexcept { return allocations_until_failure < 0; }
};

/// While it lives, nothing fails or is counted: for a test's own double within what is tested.
class PauseFailingNew {
 public:
  PauseFailingNew() : left_(std::exchange(allocations_until_failure, -1)) {}
  ~PauseFailingNew() { allocations_until_failure = left_; }
  PauseFailingNew(const PauseFailingNew&) = delete;
  PauseFailingNew& operator=(const PauseFailingNew&) = delete;

 private:
  long left_;
};

}  // namespace openllm::base

namespace openllm::base {
/// Null where an allocation fails.
inline void* count_and_allocate(std::size_t size) noexcept {
  long& left = allocations_until_failure;
  if (left >= 0 && left-- == 0) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
}  // namespace openllm::base

// Not inlined: GCC would see `free` get what `new` gave, and warn.
// NOLINTBEGIN(cppcoreguidelines-no-malloc,misc-definitions-in-headers)
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* memory = openllm::base::count_and_allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return openllm::base::count_and_allocate(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
// NOLINTEND(cppcoreguidelines-no-malloc,misc-definitions-in-headers)
