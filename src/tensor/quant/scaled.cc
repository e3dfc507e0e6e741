// Eight-bit floats, and blocks that are in no file: codes of 32 elements beside their factors.

#include <bit>
#include <limits>

#include "tensor/quant/quant.h"

namespace openllm::tensor::quant {
namespace {

using detail::as_bytes;
using detail::high4;
using detail::load;
using detail::low4;

/// The code of element k among nibbles: low ones are the first 16.
int nibble(const std::uint8_t* codes, std::size_t k) noexcept {
  return k < 16 ? low4(codes[k]) : high4(codes[k - 16]);
}

/// Blocks of 32 elements; value(block, k) is element k of one.
template <std::size_t kBytes, typename Value>
void expand(const void* blocks, float* out, std::size_t n_elems, Value value) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += 32, block += kBytes) {
    for (std::size_t k = 0; k < 32; ++k) out[i + k] = value(block, k);
  }
}

}  // namespace

float f8_e4m3_to_f32(std::uint8_t bits) noexcept {
  if ((bits & 0x7FU) == 0x7FU) return std::numeric_limits<float>::quiet_NaN();
  // The same bits are an F16 that is 2^8 too small.
  const auto half = static_cast<std::uint16_t>((bits & 0x80U) << 8U | (bits & 0x7FU) << 7U);
  return tensor::f16_to_f32(half) * 256.0F;
}

float f8_e5m2_to_f32(std::uint8_t bits) noexcept {
  return tensor::f16_to_f32(static_cast<std::uint16_t>(bits << 8U));
}

float f8_e8m0_to_f32(std::uint8_t bits) noexcept {
  if (bits == 255) return std::numeric_limits<float>::quiet_NaN();
  const std::uint32_t word = bits == 0 ? 0x00400000U : static_cast<std::uint32_t>(bits) << 23U;
  return std::bit_cast<float>(word);
}

void f8_e4m3_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  for (std::size_t i = 0; i < n_elems; ++i) out[i] = f8_e4m3_to_f32(as_bytes(data)[i]);
}
void f8_e5m2_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  for (std::size_t i = 0; i < n_elems; ++i) out[i] = f8_e5m2_to_f32(as_bytes(data)[i]);
}
void f8_e8m0_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  for (std::size_t i = 0; i < n_elems; ++i) out[i] = f8_e8m0_to_f32(as_bytes(data)[i]);
}

void codes4_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<21>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * static_cast<float>(nibble(block + 5, k) - block[4]);
  });
}
void codes8_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<37>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * static_cast<float>(block[5 + k] - block[4]);
  });
}
void affine4_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<24>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * (static_cast<float>(nibble(block + 8, k)) - load<float>(block + 4));
  });
}
void affine8_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<40>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * (static_cast<float>(block[8 + k]) - load<float>(block + 4));
  });
}
void i8_by16_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<40>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block + k / 16 * 4) *
           static_cast<float>(static_cast<std::int8_t>(block[8 + k]));
  });
}
void e2m1_by16_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<24>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    const int code = nibble(block + 8, k);
    return load<float>(block + k / 16 * 4) *
           static_cast<float>(kMxfp4Values[static_cast<std::size_t>(code)]);
  });
}
void e4m3_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<36>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * f8_e4m3_to_f32(block[4 + k]);
  });
}
void e5m2_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<36>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * f8_e5m2_to_f32(block[4 + k]);
  });
}
void nf4_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<20>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * kNf4Values[static_cast<std::size_t>(nibble(block + 4, k))];
  });
}
void fp4_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<20>(blocks, out, n_elems, [](const std::uint8_t* block, std::size_t k) {
    return load<float>(block) * kFp4Values[static_cast<std::size_t>(nibble(block + 4, k))];
  });
}

}  // namespace openllm::tensor::quant
