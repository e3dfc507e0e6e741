// Types whose blocks of 256 are small integers under a factor for every 16: IQ1, IQ2 and IQ3, whose
// codes are points of a lattice, and the ternary TQ1_0 and TQ2_0.

#include "tensor/quant/iq_grids.h"
#include "tensor/quant/quant.h"

namespace openllm::tensor::quant {
namespace {

using detail::as_bytes;
using detail::load;
using detail::load_f16;

constexpr std::array<std::int8_t, 4> kIq1Values = {-8, 0, 8, 0};  // eighths
constexpr std::array<std::int8_t, 4> kIq2Values = {8, 25, 43, 0};
constexpr std::array<std::int8_t, 8> kIq3XxsValues = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::array<std::int8_t, 8> kIq3SValues = {1, 3, 5, 7, 9, 11, 13, 15};

/// Eight coordinates of two bits.
void put_point8(std::uint16_t point, const std::array<std::int8_t, 4>& values, std::int8_t* out) {
  for (unsigned i = 0; i < 8; ++i) out[i] = values[(point >> (2 * i)) & 3U];
}
/// Four of three bits.
void put_point4(std::uint16_t point, const std::array<std::int8_t, 8>& values, std::int8_t* out) {
  for (unsigned i = 0; i < 4; ++i) out[i] = values[(point >> (3 * i)) & 7U];
}

void apply_signs(unsigned signs, std::int8_t* codes) {
  for (unsigned i = 0; i < 8; ++i) {
    if (((signs >> i) & 1U) != 0) codes[i] = static_cast<std::int8_t>(-codes[i]);
  }
}

/// Seven signs whose eighth makes their number even.
unsigned even_signs(unsigned seven) {
  unsigned parity = seven;
  parity ^= parity >> 4U;
  parity ^= parity >> 2U;
  parity ^= parity >> 1U;
  return seven | (parity & 1U) << 7U;
}

void set_scales(CodedBlock& out, std::size_t of32, float scale) {
  out.scales[2 * of32] = scale;
  out.scales[2 * of32 + 1] = scale;
}

// d, then for each 32: four indices of a byte, four times seven signs, a scale of four bits.
void read_iq2_xxs(const std::uint8_t* block, CodedBlock& out) {
  const float d = load_f16(block);
  for (std::size_t i = 0; i < 8; ++i) {
    const std::uint8_t* part = block + 2 + 8 * i;
    const auto word = load<std::uint32_t>(part + 4);
    set_scales(out, i, d * (0.5F + static_cast<float>(word >> 28U)) * 0.25F);
    for (std::size_t j = 0; j < 4; ++j) {
      std::int8_t* codes = out.codes.data() + 32 * i + 8 * j;
      put_point8(kIq2XxsGrid[part[j]], kIq2Values, codes);
      apply_signs(even_signs((word >> (7 * j)) & 127U), codes);
    }
  }
}

// d, qs[32] of u16 (index of 9 bits, seven signs), scales[8] of two nibbles.
void read_iq2_xs(const std::uint8_t* block, CodedBlock& out) {
  const float d = load_f16(block);
  for (std::size_t i = 0; i < 32; ++i) {
    const auto q = load<std::uint16_t>(block + 2 + 2 * i);
    std::int8_t* codes = out.codes.data() + 8 * i;
    put_point8(kIq2XsGrid[q & 511U], kIq2Values, codes);
    apply_signs(even_signs(q >> 9U), codes);
  }
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned scale = (static_cast<unsigned>(block[66 + i / 2]) >> (4 * (i % 2))) & 15U;
    out.scales[i] = d * (0.5F + static_cast<float>(scale)) * 0.25F;
  }
}

// d, qs[32], signs[32], qh[8], scales[8].
void read_iq2_s(const std::uint8_t* block, CodedBlock& out) {
  const float d = load_f16(block);
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned high = (static_cast<unsigned>(block[66 + i / 4]) >> (2 * (i % 4))) & 3U;
    std::int8_t* codes = out.codes.data() + 8 * i;
    put_point8(kIq2SGrid[block[2 + i] | high << 8U], kIq2Values, codes);
    apply_signs(block[34 + i], codes);
  }
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned scale = (static_cast<unsigned>(block[74 + i / 2]) >> (4 * (i % 2))) & 15U;
    out.scales[i] = d * (0.5F + static_cast<float>(scale)) * 0.25F;
  }
}

// d, qs[64], then for each 32 a word: four times seven signs, a scale of four bits.
void read_iq3_xxs(const std::uint8_t* block, CodedBlock& out) {
  const float d = load_f16(block);
  for (std::size_t i = 0; i < 8; ++i) {
    const auto word = load<std::uint32_t>(block + 66 + 4 * i);
    set_scales(out, i, d * (0.5F + static_cast<float>(word >> 28U)) * 0.5F);
    for (std::size_t j = 0; j < 4; ++j) {
      std::int8_t* codes = out.codes.data() + 32 * i + 8 * j;
      put_point4(kIq3XxsGrid[block[2 + 8 * i + 2 * j]], kIq3XxsValues, codes);
      put_point4(kIq3XxsGrid[block[3 + 8 * i + 2 * j]], kIq3XxsValues, codes + 4);
      apply_signs(even_signs((word >> (7 * j)) & 127U), codes);
    }
  }
}

// d, qs[64], qh[8], signs[32], scales[4].
void read_iq3_s(const std::uint8_t* block, CodedBlock& out) {
  const float d = load_f16(block);
  for (std::size_t i = 0; i < 64; ++i) {
    const unsigned high = (static_cast<unsigned>(block[66 + i / 8]) >> (i % 8)) & 1U;
    put_point4(kIq3SGrid[block[2 + i] | high << 8U], kIq3SValues, out.codes.data() + 4 * i);
  }
  for (std::size_t i = 0; i < 32; ++i) apply_signs(block[74 + i], out.codes.data() + 8 * i);
  for (std::size_t i = 0; i < 8; ++i) {
    const unsigned scale = (static_cast<unsigned>(block[106 + i / 2]) >> (4 * (i % 2))) & 15U;
    set_scales(out, i, d * static_cast<float>(1 + 2 * scale));
  }
}

/// A point of IQ1, moved by an eighth up or down.
void put_moved_point(unsigned index, bool down, std::int8_t* codes) {
  put_point8(kIq1Grid[index], kIq1Values, codes);
  for (std::size_t i = 0; i < 8; ++i) {
    codes[i] = static_cast<std::int8_t>(codes[i] + (down ? -1 : 1));
  }
}

// d, qs[32], qh[8] of u16: four times three bits of indices, a scale of three, the direction.
void read_iq1_s(const std::uint8_t* block, CodedBlock& out) {
  const float d = load_f16(block);
  for (std::size_t i = 0; i < 8; ++i) {
    const unsigned high = load<std::uint16_t>(block + 34 + 2 * i);
    set_scales(out, i, d * static_cast<float>(2 * ((high >> 12U) & 7U) + 1) * 0.125F);
    for (std::size_t j = 0; j < 4; ++j) {
      put_moved_point(block[2 + 4 * i + j] | ((high >> (3 * j)) & 7U) << 8U, (high >> 15U) != 0,
                      out.codes.data() + 32 * i + 8 * j);
    }
  }
}

// qs[32], qh[16] of nibbles (three bits of an index, a direction), scales[4] of u16: four scales of
// three bits, and a quarter of the F16 factor in the four highest bits.
void read_iq1_m(const std::uint8_t* block, CodedBlock& out) {
  unsigned bits = 0;
  for (unsigned i = 0; i < 4; ++i) {
    bits |= (load<std::uint16_t>(block + 48 + 2 * i) >> 12U) << (4 * i);
  }
  const float d = tensor::f16_to_f32(static_cast<std::uint16_t>(bits));
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned word = load<std::uint16_t>(block + 48 + i / 4 * 2);
    const unsigned scale = (word >> (3 * (i % 4))) & 7U;
    out.scales[i] = d * static_cast<float>(2 * scale + 1) * 0.125F;
  }
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned high = static_cast<unsigned>(block[32 + i / 2]) >> (4 * (i % 2));
    put_moved_point(block[i] | (high & 7U) << 8U, (high & 8U) != 0, out.codes.data() + 8 * i);
  }
}

/// Digit `i` of base 3 of a byte that holds five of them as a fraction of 256.
std::int8_t ternary(std::uint8_t byte, unsigned i) {
  constexpr std::array<std::uint8_t, 5> kPowers = {1, 3, 9, 27, 81};
  const auto moved = static_cast<std::uint8_t>(byte * kPowers[i]);
  return static_cast<std::int8_t>((moved * 3) >> 8) - 1;
}

// qs[48] of five digits, qh[4] of four, d.
void read_tq1_0(const std::uint8_t* block, CodedBlock& out) {
  out.scales.fill(load_f16(block + 52));
  std::size_t at = 0;
  for (unsigned digit = 0; digit < 5; ++digit) {
    for (std::size_t i = 0; i < 32; ++i) out.codes[at++] = ternary(block[i], digit);
  }
  for (unsigned digit = 0; digit < 5; ++digit) {
    for (std::size_t i = 32; i < 48; ++i) out.codes[at++] = ternary(block[i], digit);
  }
  for (unsigned digit = 0; digit < 4; ++digit) {
    for (std::size_t i = 48; i < 52; ++i) out.codes[at++] = ternary(block[i], digit);
  }
}

// qs[64] of two bits, d.
void read_tq2_0(const std::uint8_t* block, CodedBlock& out) {
  out.scales.fill(load_f16(block + 64));
  for (std::size_t i = 0; i < 256; ++i) {
    const unsigned byte = block[i / 128 * 32 + i % 32];
    out.codes[i] = static_cast<std::int8_t>((byte >> (2 * (i % 128 / 32))) & 3U) - 1;
  }
}

template <auto kRead>
void expand(const void* blocks, std::size_t block_bytes, float* out, std::size_t n_elems) {
  const std::uint8_t* block = as_bytes(blocks);
  CodedBlock coded;
  for (std::size_t i = 0; i < n_elems; i += 256, block += block_bytes) {
    kRead(block, coded);
    for (std::size_t k = 0; k < 256; ++k) {
      out[i + k] = coded.scales[k / 16] * static_cast<float>(coded.codes[k]);
    }
  }
}

}  // namespace

void iq1_s_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq1_s>(blocks, 50, out, n_elems);
}
void iq1_m_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq1_m>(blocks, 56, out, n_elems);
}
void iq2_xxs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq2_xxs>(blocks, 66, out, n_elems);
}
void iq2_xs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq2_xs>(blocks, 74, out, n_elems);
}
void iq2_s_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq2_s>(blocks, 82, out, n_elems);
}
void iq3_xxs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq3_xxs>(blocks, 98, out, n_elems);
}
void iq3_s_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_iq3_s>(blocks, 110, out, n_elems);
}
void tq1_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_tq1_0>(blocks, 54, out, n_elems);
}
void tq2_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  expand<read_tq2_0>(blocks, 66, out, n_elems);
}

bool read_coded(DType dtype, const void* block, CodedBlock& out) noexcept {
  const std::uint8_t* bytes = as_bytes(block);
  switch (dtype) {
    case DType::kIQ1_S:
      read_iq1_s(bytes, out);
      return true;
    case DType::kIQ1_M:
      read_iq1_m(bytes, out);
      return true;
    case DType::kIQ2_XXS:
      read_iq2_xxs(bytes, out);
      return true;
    case DType::kIQ2_XS:
      read_iq2_xs(bytes, out);
      return true;
    case DType::kIQ2_S:
      read_iq2_s(bytes, out);
      return true;
    case DType::kIQ3_XXS:
      read_iq3_xxs(bytes, out);
      return true;
    case DType::kIQ3_S:
      read_iq3_s(bytes, out);
      return true;
    case DType::kTQ1_0:
      read_tq1_0(bytes, out);
      return true;
    case DType::kTQ2_0:
      read_tq2_0(bytes, out);
      return true;
    default:
      return false;
  }
}

}  // namespace openllm::tensor::quant
