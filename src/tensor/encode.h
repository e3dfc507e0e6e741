#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace openllm::tensor {

/// Writes n_elems values as whole blocks of a type; n_elems is a multiple of its block size. A
/// block with a value that is not finite gets a factor that is none either.
using Encode = void (*)(const float* values, void* blocks, std::size_t n_elems) noexcept;

/// For Q8_0 (round to nearest), Q4_1 (the line through its 16 values with the least squared error
/// among some tried) and E4M3By32 (the largest magnitude becomes 448); null for other types.
Encode find_encoder(DType dtype) noexcept;

}  // namespace openllm::tensor
