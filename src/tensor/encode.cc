#include "tensor/encode.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace openllm::tensor {
namespace {

constexpr std::size_t kBlock = 32;
constexpr float kMaxE4M3 = 448.0F;

/// NaN where one of the values is not finite.
float largest_magnitude(const float* x) noexcept {
  float largest = 0.0F;
  for (std::size_t k = 0; k < kBlock; ++k) {
    if (!std::isfinite(x[k])) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::fabs(x[k]));
  }
  return largest;
}

/// Nearest integer, ties to even, of magnitudes below 2^22: what is added leaves no room for the
/// fraction. A call for each value would take longer than all the rest.
float rounded(float value) noexcept {
  constexpr float kNoFraction = 0x1.8p23F;
  return (value + kNoFraction) - kNoFraction;
}

void put_f16(std::uint8_t* to, float value) noexcept {
  const std::uint16_t bits = f32_to_f16(value);
  std::memcpy(to, &bits, sizeof(bits));
}

/// Each block: F16 factor, 32 int8.
void encode_q8_0(const float* x, void* blocks, std::size_t n) noexcept {
  auto* block = static_cast<std::uint8_t*>(blocks);
  for (std::size_t i = 0; i < n; i += kBlock, x += kBlock, block += 34) {
    put_f16(block, largest_magnitude(x) / 127.0F);
    std::uint16_t bits = 0;
    std::memcpy(&bits, block, sizeof(bits));
    const float factor = f16_to_f32(bits);  // as it will be read
    const float inverse = factor > 0.0F ? 1.0F / factor : 0.0F;
    for (std::size_t k = 0; k < kBlock; ++k) {
      const float code = rounded(std::clamp(x[k] * inverse, -127.0F, 127.0F));
      const auto byte = static_cast<std::int8_t>(code);
      block[2 + k] = std::bit_cast<std::uint8_t>(byte);
    }
  }
}

/// A line through codes 0 to 15, and what it costs.
struct Line {
  float factor = 0.0F;
  float least = 0.0F;
  float error = std::numeric_limits<float>::infinity();
  std::array<float, kBlock> codes{};
};

float as_f16(float value) noexcept { return f16_to_f32(f32_to_f16(value)); }

Line round_to(const float* x, float factor, float least) noexcept {
  Line line{as_f16(factor), as_f16(least), 0.0F, {}};
  const float inverse = line.factor > 0.0F ? 1.0F / line.factor : 0.0F;
  std::array<float, 4> errors{};  // apart, so that four values are computed at once
  for (std::size_t i = 0; i < kBlock; i += 4) {
    for (std::size_t k = 0; k < 4; ++k) {
      const float value = x[i + k];
      const float code = rounded(std::clamp((value - line.least) * inverse, 0.0F, 15.0F));
      const float off = value - (line.least + line.factor * code);
      errors[k] += off * off;
      line.codes[i + k] = code;
    }
  }
  line.error = errors[0] + errors[1] + errors[2] + errors[3];
  return line;
}

/// The line of least squares through the values for codes that are given.
Line fit(const float* x, const Line& line) noexcept {
  float sum_c = 0.0F;
  float sum_cc = 0.0F;
  float sum_x = 0.0F;
  float sum_cx = 0.0F;
  for (std::size_t k = 0; k < kBlock; ++k) {
    const float c = line.codes[k];
    sum_c += c;
    sum_cc += c * c;
    sum_x += x[k];
    sum_cx += c * x[k];
  }
  constexpr auto kCount = static_cast<float>(kBlock);
  const float spread = kCount * sum_cc - sum_c * sum_c;
  if (!(spread > 0.0F)) return line;
  const float factor = (kCount * sum_cx - sum_c * sum_x) / spread;
  return factor > 0.0F ? round_to(x, factor, (sum_x - factor * sum_c) / kCount) : line;
}

/// Each block: F16 factor, F16 least value, 16 bytes of nibbles, low ones for the first 16.
void encode_q4_1(const float* x, void* blocks, std::size_t n) noexcept {
  // Narrower ranges cut the outermost values and are finer for the others.
  constexpr std::array<float, 3> kShares{1.0F, 0.92F, 0.84F};
  auto* block = static_cast<std::uint8_t*>(blocks);
  for (std::size_t i = 0; i < n; i += kBlock, x += kBlock, block += 20) {
    if (!std::isfinite(largest_magnitude(x))) {
      std::memset(block, 0, 20);
      put_f16(block, std::numeric_limits<float>::quiet_NaN());
      continue;
    }
    const auto [low, high] = std::minmax_element(x, x + kBlock);
    const float middle = *low / 2.0F + *high / 2.0F;
    Line best;
    for (const float share : kShares) {
      const float half = (*high / 2.0F - *low / 2.0F) * share;
      const Line line = round_to(x, 2.0F * half / 15.0F, middle - half);
      const Line fitted = fit(x, line);
      const Line& better = fitted.error < line.error ? fitted : line;
      if (better.error < best.error) best = better;
    }
    const bool fits = std::isfinite(best.error);  // else it is beyond F16
    put_f16(block, fits ? best.factor : std::numeric_limits<float>::infinity());
    put_f16(block + 2, best.least);
    for (std::size_t k = 0; k < 16; ++k) {
      const auto low_code = static_cast<unsigned>(best.codes[k]);
      const auto high_code = static_cast<unsigned>(best.codes[k + 16]);
      block[4 + k] = static_cast<std::uint8_t>(low_code | high_code << 4U);
    }
  }
}

/// The nearest of the format's values, ties to even codes; magnitudes up to 448.
std::uint8_t to_e4m3(float value) noexcept {
  const float magnitude = std::min(std::fabs(value), kMaxE4M3);
  // Multiples of 2^-9 below 2^-6; above, the three upper bits of the fraction under an exponent
  // whose bias is 7 instead of 127. Rounding up may go on into the next power of two.
  auto bits = static_cast<std::uint32_t>(rounded(magnitude * 512.0F));
  if (magnitude >= 0x1p-6F) {
    std::uint32_t word = std::bit_cast<std::uint32_t>(magnitude);
    word += 0x7FFFFU + (word >> 20U & 1U);
    bits = (word >> 20U) - (120U << 3U);
  }
  return static_cast<std::uint8_t>(bits | (std::signbit(value) ? 0x80U : 0U));
}

/// Each block: F32 factor, 32 bytes.
void encode_e4m3_by32(const float* x, void* blocks, std::size_t n) noexcept {
  auto* block = static_cast<std::uint8_t*>(blocks);
  for (std::size_t i = 0; i < n; i += kBlock, x += kBlock, block += 36) {
    const float factor = largest_magnitude(x) / kMaxE4M3;
    std::memcpy(block, &factor, sizeof(factor));
    const bool counts = factor >= std::numeric_limits<float>::min();
    for (std::size_t k = 0; k < kBlock; ++k) block[4 + k] = counts ? to_e4m3(x[k] / factor) : 0;
  }
}

}  // namespace

Encode find_encoder(DType dtype) noexcept {
  switch (dtype) {
    case DType::kQ8_0:
      return encode_q8_0;
    case DType::kQ4_1:
      return encode_q4_1;
    case DType::kE4M3By32:
      return encode_e4m3_by32;
    default:
      return nullptr;
  }
}

}  // namespace openllm::tensor
