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

void iq1_s_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq1_m_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq2_xxs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq2_xs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq2_s_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq3_xxs_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void iq3_s_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void tq1_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void tq2_0_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;

void f8_e4m3_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;
void f8_e5m2_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;
void f8_e8m0_to_f32(const void* data, float* out, std::size_t n_elems) noexcept;

void codes4_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void codes8_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void affine4_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void affine8_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void i8_by16_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void e2m1_by16_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void e4m3_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void e5m2_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void nf4_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;
void fp4_by32_to_f32(const void* blocks, float* out, std::size_t n_elems) noexcept;

/// A block of 256 elements as value = scale * code, a scale for every 16.
struct CodedBlock {
  std::array<std::int8_t, 256> codes;
  std::array<float, 16> scales;
};
/// False when the type is none of IQ1, IQ2, IQ3 and TQ.
bool read_coded(DType dtype, const void* block, CodedBlock& out) noexcept;

float f8_e4m3_to_f32(std::uint8_t bits) noexcept;  ///< The finite kind (FN): no infinities.
float f8_e5m2_to_f32(std::uint8_t bits) noexcept;
float f8_e8m0_to_f32(std::uint8_t bits) noexcept;

/// What codes of bitsandbytes stand for (bitsandbytes/functional.py).
inline constexpr std::array<float, 16> kNf4Values = {-1.0F,
                                                     -0.6961928009986877F,
                                                     -0.5250730514526367F,
                                                     -0.39491748809814453F,
                                                     -0.28444138169288635F,
                                                     -0.18477343022823334F,
                                                     -0.09105003625154495F,
                                                     0.0F,
                                                     0.07958029955625534F,
                                                     0.16093020141124725F,
                                                     0.24611230194568634F,
                                                     0.33791524171829224F,
                                                     0.44070982933044434F,
                                                     0.5626170039176941F,
                                                     0.7229568362236023F,
                                                     1.0F};
/// Twelfths: 0, 1/16, 8, 12, 4, 6, 2, 3 and the same negated.
inline constexpr std::array<float, 16> kFp4Values = {
    0.0F,  0.0625F / 12.0F,  8.0F / 12.0F,  1.0F,  4.0F / 12.0F,  0.5F,  2.0F / 12.0F,  0.25F,
    -0.0F, -0.0625F / 12.0F, -8.0F / 12.0F, -1.0F, -4.0F / 12.0F, -0.5F, -2.0F / 12.0F, -0.25F};

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
