#pragma once

#include <cstddef>
#include <memory>

#include "base/mutex.h"

namespace openllm::device::cpu {

/// How large memory is mapped.
enum class Pages {
  kHuge,   ///< On huge pages where the system has them: what is read from end to end.
  kSmall,  ///< What is taken up bit by bit: a huge page is zeroed as a whole when first touched.
};

/// Zeroed memory at a 64-byte boundary; large pieces are mapped by themselves.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  /// Throws kResourceExhausted.
  explicit AlignedMemory(std::size_t n_bytes, Pages pages = Pages::kHuge);
  ~AlignedMemory();
  AlignedMemory(AlignedMemory&& other) noexcept;
  AlignedMemory& operator=(AlignedMemory&& other) noexcept;

  unsigned char* data() noexcept { return data_; }
  const unsigned char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// At least n_bytes; the contents are lost when it grows.
  void reserve(std::size_t n_bytes);

 private:
  friend class Arena;
  unsigned char* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
  std::shared_ptr<AlignedMemory> whole_{};  ///< Of a piece: what it is part of.
};

/// Pieces side by side on huge pages, so that only the last one's page is shared with nothing.
/// What they are part of goes with the last of them. Thread safety: any thread.
class Arena {
 public:
  /// `whole_bytes`: what is mapped at once.
  explicit Arena(std::size_t whole_bytes) : whole_bytes_(whole_bytes) {}
  /// Zeroed. Throws kResourceExhausted.
  AlignedMemory take(std::size_t n_bytes);

 private:
  const std::size_t whole_bytes_;
  base::Mutex mutex_{};
  std::shared_ptr<AlignedMemory> whole_ GUARDED_BY(mutex_){};
  std::size_t used_ GUARDED_BY(mutex_) = 0;
};

}  // namespace openllm::device::cpu
