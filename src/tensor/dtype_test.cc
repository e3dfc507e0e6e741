#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"

namespace openllm::tensor {
namespace {

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }
float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// FNV-1a over words, as in tests/data/quant/make_quant_golden.py.
class Hash {
 public:
  void add(std::uint32_t word) { value_ = (value_ ^ word) * 0x100000001B3ULL; }
  std::string hex() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value_));
    return text;
  }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325ULL;
};

std::string golden_hash(const char* name) {
  const std::string path = std::string(OPENLLM_TEST_DATA) + "/quant/hashes.json";
  return base::Json::parse(base::read_file(path), path).find(name)->as_string(name);
}

bool is_nan16(std::uint32_t half) { return (half & 0x7FFFU) > 0x7C00U; }

TEST(DType, TableIsConsistent) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(DType::kMXFP4); ++i) {
    const DTypeInfo& row = info(static_cast<DType>(i));
    EXPECT_EQ(static_cast<int>(row.dtype), i);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(find_dtype(row.name), row.dtype);
    EXPECT_EQ(byte_size(row.dtype, static_cast<std::size_t>(row.block_elems) * 3),
              static_cast<std::size_t>(row.block_bytes) * 3);
  }
  EXPECT_FALSE(find_dtype("Q9_9"));
  EXPECT_FALSE(find_dtype(""));
}

TEST(DType, F16AgreesWithNumpy) {
  Hash hash;
  for (std::uint32_t half = 0; half < 65536; ++half) {
    if (is_nan16(half)) continue;
    hash.add(bits_of(f16_to_f32(static_cast<std::uint16_t>(half))));
  }
  EXPECT_EQ(hash.hex(), golden_hash("f16_to_f32"));
}

TEST(DType, NarrowingAgreesWithNumpy) {
  Hash f16;
  Hash bf16;
  for (std::uint64_t i = 0; i < (1U << 18U); ++i) {
    const float value = float_of(static_cast<std::uint32_t>(i * 2654435761U));
    if (std::isnan(value)) continue;
    f16.add(f32_to_f16(value));
    bf16.add(f32_to_bf16(value));
  }
  EXPECT_EQ(f16.hex(), golden_hash("f32_to_f16"));
  EXPECT_EQ(bf16.hex(), golden_hash("f32_to_bf16"));
}

TEST(DType, EveryF16SurvivesTheRoundTrip) {
  for (std::uint32_t half = 0; half < 65536; ++half) {
    const auto bits = static_cast<std::uint16_t>(half);
    const float wide = f16_to_f32(bits);
    if (is_nan16(half)) {
      EXPECT_TRUE(std::isnan(wide));
      EXPECT_TRUE(is_nan16(f32_to_f16(wide)));
    } else {
      ASSERT_EQ(f32_to_f16(wide), bits) << half;
    }
  }
}

// Around the midpoint of each pair of neighbours: below it, on it (ties go to even), above it.
TEST(DType, F16RoundsToNearestEvenEverywhere) {
  for (std::uint32_t half = 0; half < 0x7BFF; ++half) {
    const auto low = static_cast<std::uint16_t>(half);
    const auto high = static_cast<std::uint16_t>(half + 1);
    const float middle = (f16_to_f32(low) + f16_to_f32(high)) * 0.5F;  // exact
    const auto even = static_cast<std::uint16_t>((half & 1U) == 0 ? low : high);
    ASSERT_EQ(f32_to_f16(middle), even) << half;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0F)), low) << half;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9F)), high) << half;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000U) << half;
  }
}

TEST(DType, F16Limits) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(65504.0F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65519.996F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);  // the tie goes to infinity, which is even
  EXPECT_EQ(f32_to_f16(1e30F), 0x7C00);
  EXPECT_EQ(f32_to_f16(-kInf), 0xFC00);
  EXPECT_EQ(f32_to_f16(0x1.0p-25F), 0x0000);
  EXPECT_EQ(f32_to_f16(0x1.000002p-25F), 0x0001);
  EXPECT_EQ(f32_to_f16(-0.0F), 0x8000);
  EXPECT_TRUE(is_nan16(f32_to_f16(std::nanf(""))));
  EXPECT_TRUE(is_nan16(
      f32_to_f16(float_of(0x7F800001U))));  // a payload that narrowing would cut to infinity
  EXPECT_EQ(f16_to_f32(0x7C00), kInf);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1.0p-24F);
}

TEST(DType, Bf16Limits) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float wide = bf16_to_f32(static_cast<std::uint16_t>(bits));
    EXPECT_EQ(bits_of(wide), bits << 16U);
    if (!std::isnan(wide)) {
      ASSERT_EQ(f32_to_bf16(wide), bits);
    }
  }
  EXPECT_EQ(f32_to_bf16(float_of(0x3F808000U)), 0x3F80);  // ties to even, down
  EXPECT_EQ(f32_to_bf16(float_of(0x3F818000U)), 0x3F82);  // and up
  EXPECT_EQ(f32_to_bf16(float_of(0x3F808001U)), 0x3F81);
  EXPECT_EQ(f32_to_bf16(float_of(0x7F7FFFFFU)), 0x7F80);  // the largest float rounds to infinity
  for (const std::uint32_t nan : {0x7F800001U, 0x7FFFFFFFU, 0xFF800001U, 0xFFFFFFFFU}) {
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(float_of(nan))))) << nan;
  }
}

/// Wherever in a block the bits lie that make a value overflow.
TEST(DType, WhatIsNotFiniteIsFoundInEveryPlace) {
  for (int i = 0; i <= static_cast<int>(DType::kMXFP4); ++i) {
    const auto dtype = static_cast<DType>(i);
    const DTypeInfo& type = info(dtype);
    if (type.to_f32 == nullptr) continue;
    const auto block = static_cast<std::size_t>(type.block_bytes);
    const auto elems = static_cast<std::size_t>(type.block_elems);
    constexpr std::size_t kBlocks = 5;
    int n_found = 0;
    for (std::size_t at = 0; at + 1 < kBlocks * block; ++at) {
      std::vector<unsigned char> bytes(kBlocks * block, 0);
      bytes[at] = 0x80;
      bytes[at + 1] = 0x7F;  // NaN as F16 and as the upper half of F32
      std::vector<float> values(kBlocks * elems);
      type.to_f32(bytes.data(), values.data(), values.size());
      const auto bad =
          std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
      const auto found = find_not_finite(dtype, bytes.data(), values.size());
      ASSERT_EQ(found.has_value(), bad != values.end()) << type.name << " " << at;
      if (!found) continue;
      ASSERT_EQ(*found, static_cast<std::size_t>(bad - values.begin())) << type.name << " " << at;
      ++n_found;
    }
    EXPECT_EQ(n_found > 0, dtype != DType::kMXFP4) << type.name;
  }
}

}  // namespace
}  // namespace openllm::tensor
