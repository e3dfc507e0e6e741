#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

// Expands blocks of weights to F32: the specification every faster kernel is tested against.
// Layouts and formulas are those of ggml (ggml-quants.c); docs/formats.md draws each block. Blocks
// may lie at any address. n_elems is a multiple of the block's element count.
namespace openllm::tensor::quant {

void f32_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;
void f16_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;
void bf16_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;
void f64_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;

void q4_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q4_1_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q5_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q5_1_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q8_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;

void q2_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q3_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q4_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q5_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void q6_k_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;

void iq4_nl_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq4_xs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void mxfp4_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;

/// The 16 values of IQ4_NL and IQ4_XS, and those of MXFP4 (E2M1 times two).
inline constexpr std::array<std::int8_t, 16> kIq4Values = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr std::array<std::int8_t, 16> kMxfp4Values = {0, 1,  2,  3,  4,  6,  8,  12,
                                                             0, -1, -2, -3, -4, -6, -8, -12};

namespace detail {

inline const std::uint8_t* as_bytes(const void* data) noexcept {
  return static_cast<const std::uint8_t*>(data);
}

template <typename T>
T load(const std::uint8_t* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

inline float load_f16(const std::uint8_t* from) noexcept {
  return tensor::f16_to_f32(load<std::uint16_t>(from));
}

/// The low or high nibble.
constexpr int low4(unsigned byte) noexcept { return static_cast<int>(byte & 15U); }
constexpr int high4(unsigned byte) noexcept { return static_cast<int>((byte >> 4U) & 15U); }

}  // namespace detail

}  // namespace openllm::tensor::quant
