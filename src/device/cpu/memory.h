#pragma once

#include <cstddef>
#include <memory>

namespace openllm::device::cpu {

/// Zeroed memory at a 64-byte boundary; large pieces are mapped by themselves, on huge pages where
/// the system has them (weights are read once per step, page by page).
class AlignedMemory {
 public:
  AlignedMemory() = default;
  explicit AlignedMemory(std::size_t n_bytes);  ///< Throws kResourceExhausted.
  ~AlignedMemory();
  AlignedMemory(AlignedMemory&& other) noexcept;
  AlignedMemory& operator=(AlignedMemory&& other) noexcept;

  unsigned char* data() noexcept { return data_; }
  const unsigned char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// At least n_bytes; the contents are lost when it grows.
  void reserve(std::size_t n_bytes);

 private:
  unsigned char* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
};

}  // namespace openllm::device::cpu
