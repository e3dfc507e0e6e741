#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "format/tensor_list.h"

namespace openllm::format {

/// Reads and checks one safetensors file (huggingface/safetensors, format description in its
/// README): 8 bytes of header length, a JSON header, then the tensors' bytes without gaps. Appends
/// its tensors, whose views point into `file`. Throws kCorruptData naming path, tensor and byte.
void parse_safetensors(const std::string& path, std::span<const std::byte> file,
                       TensorList& tensors);

}  // namespace openllm::format
