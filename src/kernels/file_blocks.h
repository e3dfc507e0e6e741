#pragma once

#include <cstdint>

#include "kernels/pack_format.h"

namespace openllm::kernels {

/// 256 elements of one row taken apart, or the fewer that a row of 32-element blocks ends with.
/// value = scale * (code - offset) + min, see PackTraits.
struct FileGroup {
  std::uint8_t codes[kSuperGroup] = {};
  std::uint16_t scale[8] = {};    ///< f16 per 32 elements (kF16), or of all (kSuper, [0]).
  std::uint16_t minimum[8] = {};  ///< The same; its sign is that of the sum above.
  float scale_f32[16] = {};       ///< kF32 (n_sub for each 32), kF32Zero, kF32Affine.
  float zero_f32[8] = {};         ///< kF32Affine: zero point - offset.
  std::int8_t zero[8] = {};       ///< kF32Zero: zero point - offset.
  std::int8_t sub_scale[16] = {};
  std::int8_t sub_minimum[16] = {};
};

/// Takes apart `n` elements (256, or a multiple of 32 for formats with blocks of 32).
void read_blocks(PackFormat format, const unsigned char* blocks, std::int64_t n, FileGroup& out);

/// Bytes that 256 elements take in a file.
std::int64_t file_bytes_per_256(PackFormat format) noexcept;

}  // namespace openllm::kernels
