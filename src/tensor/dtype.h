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
  kIQ1_S,
  kIQ1_M,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ2_S,
  kIQ3_XXS,
  kIQ3_S,
  kTQ1_0,
  kTQ2_0,
  kF8_E4M3,
  kF8_E5M2,
  kF8_E8M0,
  // Blocks of 32 that are in no file: rows of codes whose factors lie in tensors of their own are
  // brought together in them. "By" is the number of elements that share a factor of F32.
  kCodes4By32,   ///< factor, u8 zero point, 16 bytes of nibbles: factor (code - zero).
  kCodes8By32,   ///< factor, u8 zero point, 32 codes.
  kAffine4By32,  ///< factor, F32 zero point, 16 bytes of nibbles.
  kAffine8By32,  ///< factor, F32 zero point, 32 codes.
  kI8By16,       ///< two factors, 32 int8.
  kE2M1By16,     ///< two halved factors, 16 bytes of nibbles; values doubled as those of MXFP4.
  kE4M3By32,     ///< factor, 32 bytes.
  kE5M2By32,
  kNF4By32,  ///< factor, 16 bytes of nibbles that index the values of NF4 of bitsandbytes.
  kFP4By32,  ///< The same for its FP4.
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
/// By the name that files have; those that are in no file are not found.
std::optional<DType> find_dtype(std::string_view name) noexcept;

/// Bytes of n_elems elements; n_elems must be a multiple of the block size.
std::size_t byte_size(DType dtype, std::size_t n_elems) noexcept;

/// Index of the first value that is NaN or infinite; nullopt when there is none, or when the type
/// holds no weights. `blocks` are n_elems elements, whole blocks. Of quantised blocks it looks at
/// the factors first: what is finite costs hardly more than reading it.
std::optional<std::size_t> find_not_finite(DType dtype, const void* blocks,
                                           std::size_t n_elems) noexcept;

/// A type as blocks of another one that hold exactly the same values.
struct Transcoding {
  DType to;
  /// `blocks` are n_elems elements, whole blocks of both types.
  void (*convert)(const void* blocks, void* out, std::size_t n_elems) noexcept;
};
/// For types without a layout of their own for products; null for the others.
const Transcoding* find_transcoding(DType dtype) noexcept;

float f16_to_f32(std::uint16_t bits) noexcept;
std::uint16_t f32_to_f16(float value) noexcept;  ///< Round to nearest even.
float bf16_to_f32(std::uint16_t bits) noexcept;
std::uint16_t f32_to_bf16(float value) noexcept;  ///< Round to nearest even.

}  // namespace openllm::tensor
