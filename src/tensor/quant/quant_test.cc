#include "tensor/quant/quant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/dtype.h"

namespace openllm::tensor {
namespace {

/// tests/data/quant/TYPE.bin, see make_quant_golden.py there.
struct Golden {
  std::string blocks;
  std::vector<float> values;
};

Golden load_golden(const DTypeInfo& type) {
  const std::string path =
      std::string(OPENLLM_TEST_DATA) + "/quant/" + std::string(type.name) + ".bin";
  const std::string data = base::read_file(path);
  std::uint32_t n_elems = 0;
  std::memcpy(&n_elems, data.data(), 4);
  const std::size_t n_bytes = byte_size(type.dtype, n_elems);
  EXPECT_EQ(data.size(), 4 + n_bytes + 4 * std::size_t{n_elems}) << path;
  Golden golden{data.substr(4, n_bytes), std::vector<float>(n_elems)};
  std::memcpy(golden.values.data(), data.data() + 4 + n_bytes, 4 * std::size_t{n_elems});
  return golden;
}

class BlockFormat : public testing::TestWithParam<DType> {};

TEST_P(BlockFormat, ExpandsBitForBitAsTheReference) {
  const DTypeInfo& type = info(GetParam());
  const Golden golden = load_golden(type);
  std::vector<float> out(golden.values.size() + 1, -7.0F);
  type.to_f32(golden.blocks.data(), out.data(), golden.values.size());
  for (std::size_t i = 0; i < golden.values.size(); ++i) {
    if (std::isnan(golden.values[i])) {
      ASSERT_TRUE(std::isnan(out[i])) << type.name << " element " << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]),
                std::bit_cast<std::uint32_t>(golden.values[i]))
          << type.name << " element " << i << ": " << out[i] << " for " << golden.values[i];
    }
  }
  EXPECT_EQ(out.back(), -7.0F) << "wrote past the end";
}

TEST_P(BlockFormat, ReadsFromAnyAddress) {
  const DTypeInfo& type = info(GetParam());
  const Golden golden = load_golden(type);
  std::vector<float> straight(golden.values.size());
  type.to_f32(golden.blocks.data(), straight.data(), straight.size());
  for (std::size_t shift = 1; shift < 4; ++shift) {
    const std::string moved = std::string(shift, 'x') + golden.blocks;
    std::vector<float> out(golden.values.size());
    type.to_f32(moved.data() + shift, out.data(), out.size());
    ASSERT_EQ(std::memcmp(out.data(), straight.data(), 4 * out.size()), 0) << type.name;
  }
}

// The goldens hold random bytes, factors of every kind among them.
TEST_P(BlockFormat, ValuesThatAreNotFiniteAreFound) {
  const DTypeInfo& type = info(GetParam());
  const Golden golden = load_golden(type);
  const auto first = std::find_if_not(golden.values.begin(), golden.values.end(),
                                      [](float value) { return std::isfinite(value); });
  const auto found = find_not_finite(type.dtype, golden.blocks.data(), golden.values.size());
  if (first == golden.values.end()) {
    EXPECT_FALSE(found);
  } else {
    EXPECT_EQ(found, static_cast<std::size_t>(first - golden.values.begin()));
  }
  for (const int offset : type.f16_factors) {
    if (offset < 0) continue;
    for (const auto bits :
         std::array<std::uint16_t, 3>{0x7C00, 0xFC00, 0x7E01}) {  // infinities, NaN
      std::string blocks(3 * static_cast<std::size_t>(type.block_bytes), '\0');
      std::memcpy(blocks.data() + 2 * type.block_bytes + offset, &bits, 2);
      const auto n = static_cast<std::size_t>(type.block_elems);
      EXPECT_EQ(find_not_finite(type.dtype, blocks.data(), 3 * n), 2 * n) << type.name;
      EXPECT_FALSE(find_not_finite(type.dtype, blocks.data(), 2 * n)) << type.name;
    }
  }
}

TEST_P(BlockFormat, NothingIsRead) { info(GetParam()).to_f32(nullptr, nullptr, 0); }

std::string case_name(const testing::TestParamInfo<DType>& parameter) {
  return std::string(info(parameter.param).name);
}

INSTANTIATE_TEST_SUITE_P(All, BlockFormat,
                         testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                         DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                                         DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS,
                                         DType::kMXFP4, DType::kIQ1_S, DType::kIQ1_M,
                                         DType::kIQ2_XXS, DType::kIQ2_XS, DType::kIQ2_S,
                                         DType::kIQ3_XXS, DType::kIQ3_S, DType::kTQ1_0,
                                         DType::kTQ2_0),
                         case_name);

// What devices multiply instead of the file's blocks has the same values.
TEST(Transcoding, KeepsEveryValue) {
  for (const DType dtype :
       {DType::kIQ1_S, DType::kIQ1_M, DType::kIQ2_XXS, DType::kIQ2_XS, DType::kIQ2_S,
        DType::kIQ3_XXS, DType::kIQ3_S, DType::kTQ1_0, DType::kTQ2_0}) {
    const DTypeInfo& type = info(dtype);
    const Golden golden = load_golden(type);
    const Transcoding* transcoding = find_transcoding(dtype);
    ASSERT_NE(transcoding, nullptr) << type.name;
    std::string blocks(byte_size(transcoding->to, golden.values.size()), 'x');
    transcoding->convert(golden.blocks.data(), blocks.data(), golden.values.size());
    std::vector<float> out(golden.values.size());
    info(transcoding->to).to_f32(blocks.data(), out.data(), out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (std::isnan(golden.values[i])) continue;
      ASSERT_EQ(out[i], golden.values[i]) << type.name << " element " << i;
    }
  }
  EXPECT_EQ(find_transcoding(DType::kQ4_0), nullptr);
}

// All 256 codes: what the bits say, sign, exponent and fraction apart.
TEST(Float8, Expands) {
  const auto value = [](unsigned bits, int n_fraction, int bias) {
    const unsigned fraction = bits & ((1U << static_cast<unsigned>(n_fraction)) - 1);
    const int exponent = static_cast<int>((bits & 127U) >> static_cast<unsigned>(n_fraction));
    const double whole = exponent == 0 ? 0.0 : 1.0;
    const double magnitude =
        (whole + std::ldexp(fraction, -n_fraction)) * std::ldexp(1.0, std::max(exponent, 1) - bias);
    return static_cast<float>((bits & 128U) != 0 ? -magnitude : magnitude);
  };
  for (unsigned bits = 0; bits < 256; ++bits) {
    const auto byte = static_cast<std::uint8_t>(bits);
    float e4m3 = 0.0F;
    float e5m2 = 0.0F;
    float e8m0 = 0.0F;
    info(DType::kF8_E4M3).to_f32(&byte, &e4m3, 1);
    info(DType::kF8_E5M2).to_f32(&byte, &e5m2, 1);
    info(DType::kF8_E8M0).to_f32(&byte, &e8m0, 1);
    if ((bits & 127U) == 127U) {
      EXPECT_TRUE(std::isnan(e4m3)) << bits;
    } else {
      EXPECT_EQ(e4m3, value(bits, 3, 7)) << bits;
    }
    if ((bits & 127U) < 124U) {
      EXPECT_EQ(e5m2, value(bits, 2, 15)) << bits;
    } else {
      EXPECT_FALSE(std::isfinite(e5m2)) << bits;
    }
    if (bits < 255) {
      EXPECT_EQ(e8m0, std::ldexp(1.0F, static_cast<int>(bits) - 127)) << bits;
    } else {
      EXPECT_TRUE(std::isnan(e8m0));
    }
  }
}

TEST(PlainFormat, Expands) {
  const std::vector<float> f32 = {1.5F, -0.0F, 3e38F};
  std::vector<float> out(3);
  info(DType::kF32).to_f32(f32.data(), out.data(), 3);
  EXPECT_EQ(out, f32);
  const std::vector<std::uint16_t> f16 = {0x3C00, 0xC000, 0x0001};
  info(DType::kF16).to_f32(f16.data(), out.data(), 3);
  EXPECT_EQ(out, (std::vector<float>{1.0F, -2.0F, 0x1.0p-24F}));
  const std::vector<std::uint16_t> bf16 = {0x3F80, 0xC000, 0x0001};
  info(DType::kBF16).to_f32(bf16.data(), out.data(), 3);
  EXPECT_EQ(out, (std::vector<float>{1.0F, -2.0F, 0x1.0p-133F}));
  const std::vector<double> f64 = {0.1, -2.0, 1e300};
  info(DType::kF64).to_f32(f64.data(), out.data(), 3);
  EXPECT_EQ(out, (std::vector<float>{0.1F, -2.0F, INFINITY}));
  EXPECT_EQ(info(DType::kI32).to_f32, nullptr);
}

TEST(PlainFormat, ValuesThatAreNotFiniteAreFound) {
  const std::vector<float> f32 = {1.0F, -0.0F, 3e38F, 1e-45F, -INFINITY, NAN};
  const std::vector<std::uint16_t> f16 = {0x3C00, 0x7BFF, 0x0001, 0x8000, 0x7C00, 0xFE00};
  const std::vector<std::uint16_t> bf16 = {0x3F80, 0x7F7F, 0x0001, 0x8000, 0xFF80, 0x7FC0};
  const std::vector<double> f64 = {1.0, -0.0, 3e38, 1e-300, 1e300, 0.0};  // too large for F32
  const auto find = [](DType type, const void* data, std::size_t n) {
    return find_not_finite(type, data, n);
  };
  for (const std::size_t n : {std::size_t{4}, std::size_t{6}}) {
    const auto expected = n == 4 ? std::nullopt : std::optional<std::size_t>(4);
    EXPECT_EQ(find(DType::kF32, f32.data(), n), expected);
    EXPECT_EQ(find(DType::kF16, f16.data(), n), expected);
    EXPECT_EQ(find(DType::kBF16, bf16.data(), n), expected);
    EXPECT_EQ(find(DType::kF64, f64.data(), n), expected);
  }
  const std::vector<std::int32_t> integers = {-1};
  EXPECT_FALSE(find(DType::kI32, integers.data(), 1));
}

}  // namespace
}  // namespace openllm::tensor
