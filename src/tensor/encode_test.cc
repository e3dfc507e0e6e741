#include "tensor/encode.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace openllm::tensor {
namespace {

std::vector<float> decoded(DType type, const std::vector<float>& values) {
  std::vector<std::uint8_t> blocks(byte_size(type, values.size()));
  find_encoder(type)(values.data(), blocks.data(), values.size());
  std::vector<float> out(values.size());
  info(type).to_f32(blocks.data(), out.data(), out.size());
  return out;
}

double error_of(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  double whole = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += std::pow(double{a[i]} - double{b[i]}, 2.0);
    whole += std::pow(double{a[i]}, 2.0);
  }
  return std::sqrt(sum / whole);
}

std::vector<float> normal(std::size_t n, float scale) {
  std::mt19937 random(1);
  std::normal_distribution<float> values(0.0F, scale);
  std::vector<float> out(n);
  for (float& v : out) v = values(random);
  return out;
}

// Of normal values, a block's rounding leaves about these parts of them.
TEST(Encode, ErrorsAreThoseOfTheFormats) {
  for (const float scale : {1e-3F, 1.0F, 300.0F}) {
    const std::vector<float> values = normal(32 * 200, scale);
    EXPECT_LT(error_of(values, decoded(DType::kQ8_0, values)), 0.006) << scale;
    EXPECT_LT(error_of(values, decoded(DType::kQ4_1, values)), 0.075) << scale;
    EXPECT_LT(error_of(values, decoded(DType::kE4M3By32, values)), 0.03) << scale;
  }
}

TEST(Encode, WhatATypeHoldsStaysAsItIs) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_1, DType::kE4M3By32}) {
    const std::vector<float> once = decoded(type, normal(320, 0.05F));
    EXPECT_LT(error_of(once, decoded(type, once)), 1e-3) << info(type).name;
    const std::vector<float> zeros(32, 0.0F);
    EXPECT_EQ(decoded(type, zeros), zeros) << info(type).name;
    const std::vector<float> alike(32, -0.5F);
    EXPECT_LT(error_of(alike, decoded(type, alike)), 1e-3) << info(type).name;
  }
  EXPECT_EQ(find_encoder(DType::kQ6_K), nullptr);
}

// All 253 finite codes of E4M3, beside the largest one so that the factor is 1.
TEST(Encode, EveryE4M3ValueIsItsOwnNearest) {
  for (unsigned code = 0; code < 0x7F; ++code) {
    std::vector<float> values(32, 448.0F);
    values[3] = std::bit_cast<float>(
        code < 8 ? std::bit_cast<std::uint32_t>(static_cast<float>(code) * 0x1p-9F)
                 : ((code >> 3U) + 120U) << 23U | (code & 7U) << 20U);
    EXPECT_EQ(decoded(DType::kE4M3By32, values), values) << code;
    for (float& v : values) v = -v;
    EXPECT_EQ(decoded(DType::kE4M3By32, values), values) << code;
  }
}

TEST(Encode, ValuesThatAreNotFiniteAreFound) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_1, DType::kE4M3By32}) {
    const bool is_f16 = type != DType::kE4M3By32;
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::nanf(""), is_f16 ? 1e30F : std::nanf("")}) {
      std::vector<float> values(64, 0.5F);
      values[40] = bad;
      std::vector<std::uint8_t> blocks(byte_size(type, values.size()));
      find_encoder(type)(values.data(), blocks.data(), values.size());
      EXPECT_GE(find_not_finite(type, blocks.data(), values.size()).value_or(0), 32U)
          << info(type).name;
    }
  }
}

}  // namespace
}  // namespace openllm::tensor
