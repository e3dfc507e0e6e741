#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tensor/dtype.h"

namespace openllm::tensor {

/// Up to four dimensions, outermost first (row-major): a linear weight is [out_features,
/// in_features].
class Shape {
 public:
  static constexpr int kMaxDims = 4;
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);  ///< Throws kUnsupported above kMaxDims.

  int n_dims() const noexcept { return n_dims_; }
  std::int64_t operator[](int i) const noexcept { return dims_[static_cast<std::size_t>(i)]; }
  std::int64_t n_elems() const noexcept;
  bool operator==(const Shape& other) const noexcept = default;
  std::string to_string() const;  ///< "[576, 1536]"

 private:
  std::array<std::int64_t, kMaxDims> dims_{};
  int n_dims_ = 0;
};

/// A tensor somebody else owns. Data may be unaligned (it can lie in a mapped file).
struct TensorView {
  DType dtype = DType::kF32;
  Shape shape{};
  std::span<const std::byte> bytes{};
};

}  // namespace openllm::tensor
