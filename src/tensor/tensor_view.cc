#include "tensor/tensor_view.h"

#include "base/error.h"

namespace openllm::tensor {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) {
  if (dims.size() > kMaxDims) {
    base::fail(ErrorCode::kUnsupported, "tensor shape: too many dimensions (expected at most ",
               kMaxDims, ", got ", dims.size(), ")");
  }
  for (const std::int64_t dim : dims) dims_[static_cast<std::size_t>(n_dims_++)] = dim;
}

std::int64_t Shape::n_elems() const noexcept {
  std::int64_t n = 1;
  for (int i = 0; i < n_dims_; ++i) n *= (*this)[i];
  return n;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < n_dims_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string((*this)[i]);
  }
  return text + "]";
}

}  // namespace openllm::tensor
