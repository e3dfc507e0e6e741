#include "format/renamed.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace openllm::format {
namespace {

/// [rows, cols] as [cols, rows], in tiles whose lines stay in the cache.
std::vector<std::byte> turned(std::span<const std::byte> from, std::size_t rows, std::size_t cols,
                              std::size_t size) {
  constexpr std::size_t kTile = 32;
  std::vector<std::byte> to(from.size());
  if (from.empty()) return to;  // one of the numbers may be very large then
  for (std::size_t r0 = 0; r0 < rows; r0 += kTile) {
    for (std::size_t c0 = 0; c0 < cols; c0 += kTile) {
      for (std::size_t c = c0; c < std::min(cols, c0 + kTile); ++c) {
        for (std::size_t r = r0; r < std::min(rows, r0 + kTile); ++r) {
          std::memcpy(to.data() + (c * rows + r) * size, from.data() + (r * cols + c) * size, size);
        }
      }
    }
  }
  return to;
}

/// Linears that work as those of torch keep a bias [n]; the frameworks' convolutions of width 1
/// have [1, n]. BART's bias of the logits is [1, n] in PyTorch too.
bool is_bias_in_a_row(const ForeignTensor& tensor) {
  constexpr std::string_view kBias = ".bias";
  return tensor.dims.size() == 2 && tensor.dims[0] == 1 && tensor.name.ends_with(kBias);
}

}  // namespace

void add_renamed(const ForeignTensor& tensor, TensorList& tensors,
                 std::vector<std::vector<std::byte>>& made) {
  std::vector<std::int64_t> shape(tensor.dims.begin(), tensor.dims.end());
  std::span<const std::byte> bytes = tensor.bytes;
  if (shape.size() > tensor::Shape::kMaxDims) {
    tensors.unreadable.push_back(
        {tensor.name, base::cat("rank ", shape.size(), " is not supported")});
    return;
  }
  if (tensor.is_turned && shape.size() > 1) {
    if (shape.size() != 2) {
      tensors.unreadable.push_back(
          {tensor.name, base::cat("a kernel of rank ", shape.size(), " is not supported")});
      return;
    }
    std::swap(shape[0], shape[1]);
    const auto size = static_cast<std::size_t>(tensor::info(tensor.dtype).block_bytes);
    bytes = made.emplace_back(turned(bytes, tensor.dims[0], tensor.dims[1], size));
  } else if (is_bias_in_a_row(tensor)) {
    shape.erase(shape.begin());
  }
  tensors.readable.push_back(
      {tensor.name, {tensor.dtype, tensor::Shape(std::span<const std::int64_t>(shape)), bytes}});
}

}  // namespace openllm::format
