#include "tensor/dtype.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/quant/quant.h"

namespace openllm::tensor {
namespace {

constexpr std::array<DTypeInfo, 45> kTable = {{
    {DType::kF32, "F32", 1, 4, quant::f32_to_f32},
    {DType::kF16, "F16", 1, 2, quant::f16_to_f32},
    {DType::kBF16, "BF16", 1, 2, quant::bf16_to_f32},
    {DType::kF64, "F64", 1, 8, quant::f64_to_f32},
    {DType::kI8, "I8", 1, 1, nullptr},
    {DType::kI16, "I16", 1, 2, nullptr},
    {DType::kI32, "I32", 1, 4, nullptr},
    {DType::kI64, "I64", 1, 8, nullptr},
    {DType::kU8, "U8", 1, 1, nullptr},
    {DType::kBool, "BOOL", 1, 1, nullptr},
    {DType::kQ4_0, "Q4_0", 32, 18, quant::q4_0_to_f32, {0, -1}},
    {DType::kQ4_1, "Q4_1", 32, 20, quant::q4_1_to_f32, {0, 2}},
    {DType::kQ5_0, "Q5_0", 32, 22, quant::q5_0_to_f32, {0, -1}},
    {DType::kQ5_1, "Q5_1", 32, 24, quant::q5_1_to_f32, {0, 2}},
    {DType::kQ8_0, "Q8_0", 32, 34, quant::q8_0_to_f32, {0, -1}},
    {DType::kQ2_K, "Q2_K", 256, 84, quant::q2_k_to_f32, {80, 82}},
    {DType::kQ3_K, "Q3_K", 256, 110, quant::q3_k_to_f32, {108, -1}},
    {DType::kQ4_K, "Q4_K", 256, 144, quant::q4_k_to_f32, {0, 2}},
    {DType::kQ5_K, "Q5_K", 256, 176, quant::q5_k_to_f32, {0, 2}},
    {DType::kQ6_K, "Q6_K", 256, 210, quant::q6_k_to_f32, {208, -1}},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18, quant::iq4_nl_to_f32, {0, -1}},
    {DType::kIQ4_XS, "IQ4_XS", 256, 136, quant::iq4_xs_to_f32, {0, -1}},
    {DType::kMXFP4, "MXFP4", 32, 17, quant::mxfp4_to_f32},
    {DType::kIQ1_S, "IQ1_S", 256, 50, quant::iq1_s_to_f32, {0, -1}},
    {DType::kIQ1_M, "IQ1_M", 256, 56, quant::iq1_m_to_f32},
    {DType::kIQ2_XXS, "IQ2_XXS", 256, 66, quant::iq2_xxs_to_f32, {0, -1}},
    {DType::kIQ2_XS, "IQ2_XS", 256, 74, quant::iq2_xs_to_f32, {0, -1}},
    {DType::kIQ2_S, "IQ2_S", 256, 82, quant::iq2_s_to_f32, {0, -1}},
    {DType::kIQ3_XXS, "IQ3_XXS", 256, 98, quant::iq3_xxs_to_f32, {0, -1}},
    {DType::kIQ3_S, "IQ3_S", 256, 110, quant::iq3_s_to_f32, {0, -1}},
    {DType::kTQ1_0, "TQ1_0", 256, 54, quant::tq1_0_to_f32, {52, -1}},
    {DType::kTQ2_0, "TQ2_0", 256, 66, quant::tq2_0_to_f32, {64, -1}},
    {DType::kF8_E4M3, "F8_E4M3", 1, 1, quant::f8_e4m3_to_f32},
    {DType::kF8_E5M2, "F8_E5M2", 1, 1, quant::f8_e5m2_to_f32},
    {DType::kF8_E8M0, "F8_E8M0", 1, 1, quant::f8_e8m0_to_f32},
    {DType::kCodes4By32, "codes of 4 bits", 32, 21, quant::codes4_to_f32},
    {DType::kCodes8By32, "codes of 8 bits", 32, 37, quant::codes8_to_f32},
    {DType::kAffine4By32, "affine codes of 4 bits", 32, 24, quant::affine4_to_f32},
    {DType::kAffine8By32, "affine codes of 8 bits", 32, 40, quant::affine8_to_f32},
    {DType::kI8By16, "scaled I8", 32, 40, quant::i8_by16_to_f32},
    {DType::kE2M1By16, "scaled E2M1", 32, 24, quant::e2m1_by16_to_f32},
    {DType::kE4M3By32, "scaled E4M3", 32, 36, quant::e4m3_by32_to_f32},
    {DType::kE5M2By32, "scaled E5M2", 32, 36, quant::e5m2_by32_to_f32},
    {DType::kNF4By32, "scaled NF4", 32, 20, quant::nf4_by32_to_f32},
    {DType::kFP4By32, "scaled FP4", 32, 20, quant::fp4_by32_to_f32},
}};

constexpr std::size_t kMaxBlockElems = 256;

constexpr bool table_is_sound() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].dtype) != i) return false;
    if (static_cast<std::size_t>(kTable[i].block_elems) > kMaxBlockElems) return false;
  }
  return true;
}
static_assert(table_is_sound(), "a row of the dtype table is not at its enum value, or too large");
static_assert(static_cast<std::size_t>(DType::kFP4By32) + 1 == kTable.size());

/// value >> shift, rounded to nearest, ties to even.
constexpr std::uint32_t shift_round_even(std::uint32_t value, unsigned shift) noexcept {
  const std::uint32_t half = 1U << (shift - 1U);
  const std::uint32_t odd = (value >> shift) & 1U;
  return (value + half - 1U + odd) >> shift;
}

// A number is NaN or infinite when all bits of its exponent are set. Only then adding the lowest of
// these bits to them carries into the place of the sign.
template <typename Word>
struct Exponent {
  Word bits;
  Word lowest;
};
constexpr Exponent<std::uint16_t> kF16Exponent{0x7C00, 0x0400};
constexpr Exponent<std::uint16_t> kBf16Exponent{0x7F80, 0x0080};
constexpr Exponent<std::uint32_t> kF32Exponent{0x7F800000, 0x00800000};

/// Whether any of n numbers, `stride` bytes apart, is NaN or infinite.
template <typename Word>
bool any_not_finite(const unsigned char* at, std::size_t n, std::size_t stride,
                    Exponent<Word> exponent) noexcept {
  bool found = false;
  for (std::size_t i = 0; i < n; ++i) {
    Word value = 0;
    std::memcpy(&value, at + i * stride, sizeof(value));
    found |= (value & exponent.bits) == exponent.bits;
  }
  return found;
}

/// The same for neighbours: 64 bits of them at a time.
template <typename Word>
bool any_not_finite(const unsigned char* at, std::size_t n, Exponent<Word> exponent) noexcept {
  constexpr std::size_t kPerWord = sizeof(std::uint64_t) / sizeof(Word);
  constexpr std::uint64_t kEach = ~std::uint64_t{0} / std::numeric_limits<Word>::max();
  constexpr std::uint64_t kSigns = kEach << (8 * sizeof(Word) - 1);
  const std::uint64_t bits = exponent.bits * kEach;
  const std::uint64_t lowest = exponent.lowest * kEach;
  std::uint64_t found = 0;
  std::size_t i = 0;
  for (; i + kPerWord <= n; i += kPerWord) {
    std::uint64_t values = 0;
    std::memcpy(&values, at + i * sizeof(Word), sizeof(values));
    found |= ((values & bits) + lowest) & kSigns;
  }
  return found != 0 || any_not_finite(at + i * sizeof(Word), n - i, sizeof(Word), exponent);
}

/// Never false when a value is NaN or infinite.
bool may_be_not_finite(const DTypeInfo& type, const unsigned char* blocks,
                       std::size_t n_blocks) noexcept {
  switch (type.dtype) {
    case DType::kF32:
      return any_not_finite(blocks, n_blocks, kF32Exponent);
    case DType::kF16:
      return any_not_finite(blocks, n_blocks, kF16Exponent);
    case DType::kBF16:
      return any_not_finite(blocks, n_blocks, kBf16Exponent);
    default:
      break;
  }
  // Codes and sub-scales are small: a value overflows only with its factor. Other types have none.
  if (type.f16_factors[0] < 0) return true;
  const auto stride = static_cast<std::size_t>(type.block_bytes);
  for (const int offset : type.f16_factors) {
    if (offset >= 0 && any_not_finite(blocks + offset, n_blocks, stride, kF16Exponent)) return true;
  }
  return false;
}

}  // namespace

const DTypeInfo& info(DType dtype) noexcept { return kTable[static_cast<std::size_t>(dtype)]; }

std::optional<DType> find_dtype(std::string_view name) noexcept {
  for (const DTypeInfo& row : kTable) {
    if (row.name == name && row.dtype < DType::kCodes4By32) return row.dtype;
  }
  return std::nullopt;
}

std::size_t byte_size(DType dtype, std::size_t n_elems) noexcept {
  const DTypeInfo& row = info(dtype);
  return n_elems / static_cast<std::size_t>(row.block_elems) *
         static_cast<std::size_t>(row.block_bytes);
}

std::optional<std::size_t> find_not_finite(DType dtype, const void* blocks,
                                           std::size_t n_elems) noexcept {
  const DTypeInfo& type = info(dtype);
  const auto* bytes = static_cast<const unsigned char*>(blocks);
  const auto block_elems = static_cast<std::size_t>(type.block_elems);
  const std::size_t n_blocks = n_elems / block_elems;
  if (type.to_f32 == nullptr || !may_be_not_finite(type, bytes, n_blocks)) return std::nullopt;
  std::array<float, kMaxBlockElems> values{};
  for (std::size_t block = 0; block < n_blocks; ++block) {
    type.to_f32(bytes + block * static_cast<std::size_t>(type.block_bytes), values.data(),
                block_elems);
    for (std::size_t i = 0; i < block_elems; ++i) {
      if (!std::isfinite(values[i])) return block * block_elems + i;
    }
  }
  return std::nullopt;
}

float f16_to_f32(std::uint16_t bits) noexcept {
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t exponent = (bits >> 10U) & 31U;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24 is exact in F32
    const float magnitude = static_cast<float>(fraction) * 0x1.0p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23U) | (fraction << 13U));
}

std::uint16_t f32_to_f16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {  // NaN: quiet, payload cut
    half = 0x7E00U | ((magnitude >> 13U) & 0x3FFU);
  } else if (magnitude >= 0x47800000U) {  // 2^16 and up, infinity
    half = 0x7C00U;
  } else if (magnitude >= 0x38800000U) {  // normal; a carry may reach infinity, which is right
    half = shift_round_even(magnitude - 0x38000000U, 13);
  } else if (magnitude >= 0x33000000U) {  // subnormal: units of 2^-24
    const std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
    half = shift_round_even(mantissa, 126U - (magnitude >> 23U));
  }
  return static_cast<std::uint16_t>(sign | half);
}

float bf16_to_f32(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

std::uint16_t f32_to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {  // NaN: rounding could make it an infinity
    return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  }
  return static_cast<std::uint16_t>(shift_round_even(bits, 16));
}

}  // namespace openllm::tensor
