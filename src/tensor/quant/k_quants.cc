// Super-blocks of 256 elements whose sub-blocks have quantised scales: Q2_K, Q3_K, Q4_K, Q5_K,
// Q6_K.

#include "tensor/quant/quant.h"

namespace openllm::tensor::quant {
namespace {

using detail::as_bytes;
using detail::load_f16;

constexpr std::size_t kElems = 256;

/// Scale and minimum of sub-block j (0..7) in the 12 packed bytes of Q4_K and Q5_K, six bits each.
struct ScaleMin {
  int scale;
  int min;
};
ScaleMin scale_min(const std::uint8_t* packed, std::size_t j) noexcept {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4),
          (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4)};
}

/// Scale of sub-block j (0..15) in the 12 packed bytes of Q3_K: six bits, biased by 32.
int q3_scale(const std::uint8_t* packed, std::size_t j) noexcept {
  const unsigned low = j < 8 ? packed[j] & 15U : static_cast<unsigned>(packed[j - 8]) >> 4U;
  const unsigned high = (static_cast<unsigned>(packed[8 + j % 4]) >> (2 * (j / 4))) & 3U;
  return static_cast<int>(low | (high << 4U)) - 32;
}

}  // namespace

// scales[16] (low nibble scale, high nibble minimum), qs[64], d, dmin. Each half of 128 elements
// uses 32 bytes of qs; two bits of a byte for each quarter.
void q2_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 84) {
    const std::uint8_t* qs = block + 16;
    const float d = load_f16(block + 80);
    const float dmin = load_f16(block + 82);
    for (std::size_t e = 0; e < kElems; ++e) {
      const std::size_t half = e / 128;
      const std::size_t quarter = (e % 128) / 32;
      const int q = (qs[32 * half + e % 32] >> (2 * quarter)) & 3;
      const std::uint8_t scale = block[e / 16];
      out[i + e] = d * static_cast<float>(scale & 15) * static_cast<float>(q) -
                   dmin * static_cast<float>(scale >> 4);
    }
  }
}

// hmask[32] (bit e / 32 of byte e % 32: set means no 4 is subtracted), qs[64] as in Q2_K,
// scales[12], d.
void q3_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 110) {
    const std::uint8_t* qs = block + 32;
    const std::uint8_t* scales = block + 96;
    const float d = load_f16(block + 108);
    for (std::size_t e = 0; e < kElems; ++e) {
      const int low = (qs[32 * (e / 128) + e % 32] >> (2 * ((e % 128) / 32))) & 3;
      const int high = (block[e % 32] >> (e / 32)) & 1;
      const int q = low - (high != 0 ? 0 : 4);
      out[i + e] = d * static_cast<float>(q3_scale(scales, e / 16)) * static_cast<float>(q);
    }
  }
}

// d, dmin, scales[12], qs[128]: 32 bytes hold 64 elements, low nibbles first.
void q4_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 144) {
    const float d = load_f16(block);
    const float dmin = load_f16(block + 2);
    const std::uint8_t* qs = block + 16;
    for (std::size_t sub = 0; sub < 8; ++sub) {
      const ScaleMin sm = scale_min(block + 4, sub);
      const float scale = d * static_cast<float>(sm.scale);
      const float min = dmin * static_cast<float>(sm.min);
      const std::size_t shift = 4 * (sub % 2);
      for (std::size_t j = 0; j < 32; ++j) {
        const int q = (qs[32 * (sub / 2) + j] >> shift) & 15;
        out[i + 32 * sub + j] = scale * static_cast<float>(q) - min;
      }
    }
  }
}

// d, dmin, scales[12], qh[32] (bit sub of byte j: the fifth bit), qs[128] as in Q4_K.
void q5_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 176) {
    const float d = load_f16(block);
    const float dmin = load_f16(block + 2);
    const std::uint8_t* qh = block + 16;
    const std::uint8_t* qs = block + 48;
    for (std::size_t sub = 0; sub < 8; ++sub) {
      const ScaleMin sm = scale_min(block + 4, sub);
      const float scale = d * static_cast<float>(sm.scale);
      const float min = dmin * static_cast<float>(sm.min);
      const std::size_t shift = 4 * (sub % 2);
      for (std::size_t j = 0; j < 32; ++j) {
        const int q = ((qs[32 * (sub / 2) + j] >> shift) & 15) | (((qh[j] >> sub) & 1) << 4);
        out[i + 32 * sub + j] = scale * static_cast<float>(q) - min;
      }
    }
  }
}

// ql[128], qh[64], scales[16] (signed), d. Each half of 128 elements uses 64 bytes of ql and 32 of
// qh: quarter k takes bytes 32 * (k % 2) + j of ql (low nibbles for k < 2) and two bits of byte j
// of qh.
void q6_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 210) {
    const float d = load_f16(block + 208);
    for (std::size_t e = 0; e < kElems; ++e) {
      const std::size_t half = e / 128;
      const std::size_t quarter = (e % 128) / 32;
      const std::size_t j = e % 32;
      const int low = (block[64 * half + 32 * (quarter % 2) + j] >> (4 * (quarter / 2))) & 15;
      const int high = (block[128 + 32 * half + j] >> (2 * quarter)) & 3;
      const int q = (low | (high << 4)) - 32;
      const auto scale = static_cast<std::int8_t>(block[192 + e / 16]);
      out[i + e] = d * static_cast<float>(scale) * static_cast<float>(q);
    }
  }
}

}  // namespace openllm::tensor::quant
