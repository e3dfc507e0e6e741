// Blocks of 32 elements with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. In the 4- and 5-bit formats
// byte j holds elements j (low nibble) and j + 16 (high nibble).

#include "tensor/quant/quant.h"

namespace openllm::tensor::quant {
namespace {

using detail::as_bytes;
using detail::high4;
using detail::load;
using detail::load_f16;
using detail::low4;

constexpr std::size_t kElems = 32;
constexpr std::size_t kHalf = 16;

/// Bit `i` of the fifth bits, in place: 0 or 16.
int fifth(std::uint32_t high_bits, std::size_t i) noexcept {
  return static_cast<int>(((high_bits >> i) & 1U) << 4U);
}

}  // namespace

void q4_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 18) {
    const float d = load_f16(block);
    for (std::size_t j = 0; j < kHalf; ++j) {
      out[i + j] = static_cast<float>(low4(block[2 + j]) - 8) * d;
      out[i + j + kHalf] = static_cast<float>(high4(block[2 + j]) - 8) * d;
    }
  }
}

void q4_1_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 20) {
    const float d = load_f16(block);
    const float min = load_f16(block + 2);
    for (std::size_t j = 0; j < kHalf; ++j) {
      out[i + j] = static_cast<float>(low4(block[4 + j])) * d + min;
      out[i + j + kHalf] = static_cast<float>(high4(block[4 + j])) * d + min;
    }
  }
}

void q5_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 22) {
    const float d = load_f16(block);
    const auto high = load<std::uint32_t>(block + 2);
    for (std::size_t j = 0; j < kHalf; ++j) {
      out[i + j] = static_cast<float>((low4(block[6 + j]) | fifth(high, j)) - 16) * d;
      out[i + j + kHalf] =
          static_cast<float>((high4(block[6 + j]) | fifth(high, j + kHalf)) - 16) * d;
    }
  }
}

void q5_1_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 24) {
    const float d = load_f16(block);
    const float min = load_f16(block + 2);
    const auto high = load<std::uint32_t>(block + 4);
    for (std::size_t j = 0; j < kHalf; ++j) {
      out[i + j] = static_cast<float>(low4(block[8 + j]) | fifth(high, j)) * d + min;
      out[i + j + kHalf] =
          static_cast<float>(high4(block[8 + j]) | fifth(high, j + kHalf)) * d + min;
    }
  }
}

void q8_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* block = as_bytes(blocks);
  for (std::size_t i = 0; i < n_elems; i += kElems, block += 34) {
    const float d = load_f16(block);
    for (std::size_t j = 0; j < kElems; ++j) {
      out[i + j] = static_cast<float>(static_cast<std::int8_t>(block[2 + j])) * d;
    }
  }
}

}  // namespace openllm::tensor::quant
