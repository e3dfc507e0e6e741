#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/kernels.h"
#include "tensor/dtype.h"

namespace openllm::kernels {

/// The packed layout of a file's element type; none for types that hold no weights. F64 has none.
std::optional<PackFormat> pack_format(tensor::DType dtype) noexcept;

/// Whether products with it need quantised activations.
bool is_quantised(PackFormat format) noexcept;

/// Sizes of a packed matrix; `data` is null. k is a multiple of the type's block.
PackedMatrix packed_shape(PackFormat format, std::int64_t n_rows, std::int64_t k) noexcept;
/// Bytes `data` needs.
std::size_t packed_bytes(const PackedMatrix& matrix) noexcept;

/// Writes one row given as the file's blocks into zero-initialised packed memory.
void pack_row(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
              const unsigned char* blocks);

/// The row's values, exactly as the file type's to_f32 gives them.
void unpack_row(const PackedMatrix& matrix, std::int64_t row, float* out);

}  // namespace openllm::kernels
