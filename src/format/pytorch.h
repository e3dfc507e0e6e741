#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "format/tensor_list.h"

namespace openllm::format {

/// Reads the state dictionary of a file that torch.save wrote: a zip archive, or the older sequence
/// of pickles. Nothing in it is executed: what is no tensor, no dictionary and none of the few
/// names that these are made of is kUnsupported by its name. Appends the tensors, whose views point
/// into `file`, or into `made` where elements do not lie row by row. Values that are no tensors are
/// listed as unreadable. Throws kCorruptData naming path and place.
void parse_pytorch(const std::string& path, std::span<const std::byte> file, TensorList& tensors,
                   std::vector<std::vector<std::byte>>& made);

}  // namespace openllm::format
