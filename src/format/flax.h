#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/tensor_list.h"

namespace openllm::format {

/// Reads the parameters of a file that Flax wrote (flax_model.msgpack) and appends them under the
/// names, and laid out, as PyTorch models of the family have them. Views point into `file`, or into
/// `made` where something had to be moved. Values that are no arrays are listed as unreadable.
/// Throws kCorruptData naming path and place.
void parse_flax(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
                std::vector<std::vector<std::byte>>& made);

/// The name of PyTorch for one whose levels are parted by '/', as an index of such files has it.
std::string name_from_flax(std::string_view levels);

}  // namespace openllm::format
