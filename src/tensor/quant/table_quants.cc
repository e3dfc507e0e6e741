// Four-bit codes that index a table of 16 values: IQ4_NL, IQ4_XS, MXFP4.

#include <bit>

#include "tensor/quant/quant.h"

namespace openllm::tensor::quant {
namespace {

using detail::as_bytes;
using detail::high4;
using detail::load;
using detail::load_f16;
using detail::low4;

/// 32 elements of 16 bytes: low nibbles first.
void expand(const std::uint8_t* codes, const std::array<std::int8_t, 16>& values, float scale,
            float* out) noexcept {
  for (std::size_t j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(values[static_cast<std::size_t>(low4(codes[j]))]);
    out[j + 16] = scale * static_cast<float>(values[static_cast<std::size_t>(high4(codes[j]))]);
  }
}

/// 2^(exponent - 128): half of what E8M0 says, because the table holds doubled values.
float half_e8m0(std::uint8_t exponent) noexcept {
  const std::uint32_t bits =
      exponent < 2 ? 0x00200000U << exponent : static_cast<std::uint32_t>(exponent - 1) << 23U;
  return std::bit_cast<float>(bits);
}

}  // namespace

// d, qs[16].
void iq4_nl_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += 32, block += 18) {
    expand(block + 2, kIq4Values, load_f16(block), out + i);
  }
}

// d, scales_h (u16), scales_l[4], qs[128]: eight sub-blocks of 32 with six-bit scales biased by 32.
void iq4_xs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += 256, block += 136) {
    const float d = load_f16(block);
    const unsigned high = load<std::uint16_t>(block + 2);
    for (std::size_t sub = 0; sub < 8; ++sub) {
      const unsigned low = (static_cast<unsigned>(block[4 + sub / 2]) >> (4 * (sub % 2))) & 15U;
      const int scale = static_cast<int>(low | (((high >> (2 * sub)) & 3U) << 4U)) - 32;
      expand(block + 8 + 16 * sub, kIq4Values, d * static_cast<float>(scale), out + i + 32 * sub);
    }
  }
}

// e (E8M0), qs[16].
void mxfp4_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += 32, block += 17) {
    expand(block + 1, kMxfp4Values, half_e8m0(block[0]), out + i);
  }
}

}  // namespace openllm::tensor::quant
