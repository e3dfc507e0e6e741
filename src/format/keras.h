#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/tensor_list.h"

namespace openllm::format {

/// Reads the weights of a file that transformers' TensorFlow models were saved to (tf_model.h5) and
/// appends them under the names, and laid out, as PyTorch models of the family have them.
/// `is_part`: the file is one of several that an index lists; those name their datasets otherwise.
/// Views point into `file`, or into `made` where something had to be moved. Throws kCorruptData
/// naming path and place, kUnsupported for what of HDF5 is not read.
void parse_keras(const std::string& path, std::span<const std::byte> file, bool is_part,
                 TensorList& tensors, std::vector<std::vector<std::byte>>& made);

/// The name of PyTorch for a weight's name in TensorFlow ("tf_bert_model/bert/.../kernel:0"), whose
/// first level is the model's own name.
std::string name_from_keras(std::string_view weight);

}  // namespace openllm::format
