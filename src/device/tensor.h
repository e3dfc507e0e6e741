#pragma once

#include <cstddef>
#include <cstdint>

namespace openllm::device {

/// Type of the elements of a device tensor.
enum class ElementType : std::uint8_t { kF32 };
constexpr std::size_t element_bytes(ElementType type) noexcept {
  switch (type) {
    case ElementType::kF32:
      return 4;
  }
  return 4;
}

/// A matrix of activations in device memory. Only the device may read or write behind `data`.
struct Tensor {
  void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  ///< Elements from one row to the next; >= cols.
  ElementType type = ElementType::kF32;

  Tensor columns(std::int64_t begin, std::int64_t n) const {
    return {at(begin), rows, n, stride, type};
  }
  Tensor first_rows(std::int64_t n) const { return {data, n, cols, stride, type}; }
  Tensor row_range(std::int64_t begin, std::int64_t n) const {
    return {at(begin * stride), n, cols, stride, type};
  }

 private:
  void* at(std::int64_t element) const {
    return static_cast<std::byte*>(data) + element * static_cast<std::int64_t>(element_bytes(type));
  }
};

/// Device memory, freed with its owner.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* data() noexcept = 0;
};

}  // namespace openllm::device
