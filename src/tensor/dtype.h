#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace openllm::tensor {

/// Element types of weights, in files and in memory. A quantised type is a sequence of blocks along
/// the innermost dimension (docs/formats.md gives each block's layout).
enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
};

/// One row of the dtype table.
struct DTypeInfo {
  DType dtype;
  std::string_view name;  ///< "F32", "Q4_K", ...
  int block_elems;        ///< Elements in a block; 1 for plain types.
  int block_bytes;
  /// Expands whole blocks: n_elems is a multiple of block_elems. Null for types that hold no
  /// weights.
  void (*to_f32)(const void* blocks, float* out, std::size_t n_elems) noexcept;
  /// Bytes at which a quantised block has its F16 factors; -1: no (second) one.
  std::array<int, 2> f16_factors = {-1, -1};
};

const DTypeInfo& info(DType dtype) noexcept;
std::optional<DType> find_dtype(std::string_view name) noexcept;

/// Bytes of n_elems elements; n_elems must be a multiple of the block size.
std::size_t byte_size(DType dtype, std::size_t n_elems) noexcept;

/// Index of the first value that is NaN or infinite; nullopt when there is none, or when the type
/// holds no weights. `blocks` are n_elems elements, whole blocks. Of quantised blocks it looks at
/// the factors first: what is finite costs hardly more than reading it.
std::optional<std::size_t> find_not_finite(DType dtype, const void* blocks,
                                           std::size_t n_elems) noexcept;

float f16_to_f32(std::uint16_t bits) noexcept;
std::uint16_t f32_to_f16(float value) noexcept;  ///< Round to nearest even.
float bf16_to_f32(std::uint16_t bits) noexcept;
std::uint16_t f32_to_bf16(float value) noexcept;  ///< Round to nearest even.

}  // namespace openllm::tensor
