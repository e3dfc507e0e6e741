#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/kernels.h"
#include "tensor/dtype.h"

namespace openllm::kernels {

/// The packed layout of a file's element type; none for types that hold no weights. F64 has none.
std::optional<PackFormat> pack_format(tensor::DType dtype) noexcept;

/// Whether products with it need quantised activations: those with integer codes.
bool is_quantised(PackFormat format) noexcept;

/// Sizes of a packed matrix; `data` is null. k is a multiple of the type's block.
PackedMatrix packed_shape(PackFormat format, std::int64_t n_rows, std::int64_t k) noexcept;
/// Bytes `data` needs.
std::size_t packed_bytes(const PackedMatrix& matrix) noexcept;

/// Writes one row given as the file's blocks into zero-initialised packed memory.
void pack_row(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
              const unsigned char* blocks);

/// A number that changes with what `pack_row` makes of a row: of two programs that give the same
/// one, one can use what the other packed.
std::uint64_t layout_fingerprint(PackFormat format);

/// A row as codes, with a scale and a zero point for every 32 of them: value = scale * (code -
/// zero).
struct CodeRow {
  const std::uint8_t* codes = nullptr;  ///< [k]
  const float* scales = nullptr;        ///< [k / 32]
  const std::uint8_t* zeros = nullptr;  ///< [k / 32]
};
/// Writes it into zero-initialised packed memory of kU4 or kU8; also of kQ4_0 or kQ8_0, which have
/// no room for other zero points than 8 or 128 nor for scales that are no F16 values.
void pack_codes(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
                const CodeRow& source);

/// The row's values, exactly as the file type's to_f32 gives them.
void unpack_row(const PackedMatrix& matrix, std::int64_t row, float* out);

}  // namespace openllm::kernels
