#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "format/tensor_list.h"

namespace openllm::format {

/// Longest name of a tensor whose levels are the folders or maps that it lies in.
inline constexpr std::size_t kMaxPathBytes = 1024;

/// A tensor of a file that another framework than PyTorch wrote.
struct ForeignTensor {
  std::string name{};  ///< As a PyTorch model of the family has it.
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<std::uint64_t> dims{};  ///< As the file has them.
  std::span<const std::byte> bytes{};
  bool is_turned = false;  ///< The file has columns where PyTorch has rows.
};

/// Appends the tensor as PyTorch lays it out: a matrix that is turned goes to `made`; a bias [1, n]
/// becomes [n]. What has a rank that is not known is listed as unreadable. `bytes` must fit type
/// and dimensions.
void add_renamed(const ForeignTensor& tensor, TensorList& tensors,
                 std::vector<std::vector<std::byte>>& made);

}  // namespace openllm::format
