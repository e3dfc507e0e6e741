// Each instruction set's kernels against plain arithmetic, number by number. The tests of the
// device compare whole operations; here are conversions, tails and bounds.

#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tensor/dtype.h"

namespace openllm::kernels {
namespace {

std::vector<const Kernels*> all_kernels() {
  const Kernels* list[kMaxKernels] = {};
  const std::size_t n = list_kernels(list, kMaxKernels);
  return {list, list + n};
}

/// Numbers without a pattern, from a hash of their index, with exponents of [low, high).
std::vector<float> numbers(std::size_t n, int low, int high) {
  std::vector<float> x(n);
  std::uint32_t state = 12345;
  for (float& v : x) {
    state = state * 1664525U + 1013904223U;
    const auto exponent = static_cast<std::uint32_t>(127 + low) +
                          (state >> 8U) % static_cast<std::uint32_t>(high - low);
    state = state * 1664525U + 1013904223U;
    v = std::bit_cast<float>((state & 0x80000000U) | exponent << 23U | (state >> 4U & 0x7FFFFFU));
  }
  return x;
}

TEST(Kernels, ListIsBestFirstEndsWithPortableAndKeepsToItsCapacity) {
  const auto all = all_kernels();
  ASSERT_GE(all.size(), 1U);
  EXPECT_STREQ(all.back()->name, "portable");
  for (const Kernels* kernels : all) EXPECT_EQ(find_kernels(kernels->name), kernels);
  EXPECT_EQ(find_kernels(""), all.front());
  EXPECT_EQ(find_kernels("avx"), nullptr);
  EXPECT_EQ(find_kernels("Portable"), nullptr);
  const Kernels* none[2] = {};
  EXPECT_EQ(list_kernels(none, 0), 0U);
  EXPECT_EQ(none[0], nullptr);
  EXPECT_EQ(list_kernels(none, 1), 1U);
  EXPECT_EQ(none[1], nullptr);
}

TEST(Kernels, F16IsRoundedToNearestEven) {
  std::vector<float> x = {0.0F,
                          -0.0F,
                          1.0F,
                          65504.0F,
                          65519.0F,
                          65520.0F,
                          -65520.0F,
                          1e30F,
                          1.0F + 1.0F / 2048.0F,   // half way: to the even 1
                          1.0F + 3.0F / 2048.0F,   // half way: up to the even 1 + 2/1024
                          1.0F + 1.5F / 2048.0F,   // above half way
                          1.0F + 0.75F / 2048.0F,  // below it
                          -1.0F - 1.5F / 2048.0F,
                          6.103515625e-05F,    // the least normal number
                          6.0975551605e-05F,   // the largest subnormal one
                          5.9604644775e-08F,   // the least subnormal one
                          2.98023223877e-08F,  // half of it: to zero
                          2.98023259404e-08F,  // a little more: up
                          8.9406967163e-08F,   // half way between two subnormal ones
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()};
  const auto more = numbers(400, -26, 17);
  x.insert(x.end(), more.begin(), more.end());
  for (const Kernels* kernels : all_kernels()) {
    for (const std::size_t n :
         {std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{17}, x.size()}) {
      std::vector<std::uint16_t> got(n + 1, 0x1234);
      kernels->to_f16(x.data(), static_cast<std::int64_t>(n), got.data());
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(got[i], tensor::f32_to_f16(x[i])) << kernels->name << " " << x[i] << " of " << n;
      }
      EXPECT_EQ(got[n], 0x1234) << kernels->name;  // nothing behind the end
    }
  }
}

TEST(Kernels, F16OfWhatIsNoNumberIsNone) {
  for (const Kernels* kernels : all_kernels()) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::uint16_t got = 0;
    kernels->to_f16(&nan, 1, &got);
    EXPECT_TRUE(std::isnan(tensor::f16_to_f32(got))) << kernels->name;
  }
}

TEST(Kernels, Bf16IsRoundedToNearestEvenAndPadded) {
  std::vector<float> x = {1.0F,
                          std::bit_cast<float>(0x3F808000U),  // half way: to the even
                          std::bit_cast<float>(0x3F818000U),  // half way: up to the even
                          std::bit_cast<float>(0x3F808001U),
                          std::bit_cast<float>(0x3F807FFFU),
                          -2.5F,
                          0.0F};
  const auto more = numbers(90, -60, 60);
  x.insert(x.end(), more.begin(), more.end());
  for (const Kernels* kernels : all_kernels()) {
    if (kernels->to_bf16 == nullptr) continue;
    EXPECT_NE(kernels->linear_bf16, nullptr);
    for (const std::size_t n : {1U, 2U, 7U, 31U, 32U, 33U, 64U, 97U}) {
      const std::size_t even = (n + 1) / 2 * 2;
      std::vector<std::uint16_t> got(even + 1, 0x1234);
      kernels->to_bf16(x.data(), static_cast<std::int64_t>(n), got.data());
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(got[i], tensor::f32_to_bf16(x[i])) << kernels->name << " " << x[i];
      }
      if (even > n) {
        EXPECT_EQ(got[n], 0) << n;
      }
      EXPECT_EQ(got[even], 0x1234) << n;
    }
  }
}

/// The arrays of QuantRows for `n_rows` rows of `n_groups` groups.
struct QuantMemory {
  std::vector<std::int8_t> codes;
  std::vector<float> scales, sums, sums16;
  std::vector<std::int32_t> neg_sums, neg_sums16;
  QuantRows rows;

  QuantMemory(std::size_t n_rows, std::size_t n_groups, int n_planes, bool by_group)
      : codes(n_rows * n_groups * 32 * static_cast<std::size_t>(n_planes)),
        scales(n_rows * n_groups),
        sums(n_rows * n_groups),
        sums16(2 * n_rows * n_groups),
        neg_sums(n_rows * n_groups),
        neg_sums16(2 * n_rows * n_groups) {
    rows = {n_planes,          by_group,      static_cast<std::int64_t>(n_rows),
            codes.data(),      scales.data(), neg_sums.data(),
            neg_sums16.data(), sums.data(),   sums16.data()};
  }
};

/// Codes and scales of rows by their definition: x = scale * code, the largest of a group of 32
/// becomes 127 (one plane), the largest of a span of 8 groups about 127 * 256 (two).
TEST(Kernels, QuantisedRowsGiveTheirValuesBack) {
  constexpr std::size_t kGroups = 11;  // a span and three groups of the next
  constexpr std::size_t kK = kGroups * 32;
  constexpr std::size_t kRows = 2;
  std::vector<float> x = numbers(kRows * kK, -6, 4);
  std::fill(x.begin() + 64, x.begin() + 96, 0.0F);                // a group of zeros
  std::fill(x.begin() + 8 * 32, x.begin() + kGroups * 32, 0.0F);  // a span of them
  x[100] = 50.0F;                                                 // one large value
  for (const Kernels* kernels : all_kernels()) {
    for (const int n_planes : {1, 2}) {
      for (const bool by_group : {false, true}) {
        QuantMemory memory(kRows, kGroups, n_planes, by_group);
        for (std::size_t row = 0; row < kRows; ++row) {
          kernels->quantise_row(x.data() + row * kK, kK, static_cast<std::int64_t>(row),
                                &memory.rows);
        }
        const std::size_t per_scale = n_planes == 1 ? 1 : 8;
        const std::size_t n_scales = (kGroups + per_scale - 1) / per_scale;
        const auto code_at = [&](std::size_t row, std::size_t g, std::size_t i) -> std::int32_t {
          const std::size_t at = by_group ? g * kRows + row : row * kGroups + g;
          if (n_planes == 1) return memory.codes[at * 32 + i];
          if (by_group) return 256 * memory.codes[at * 64 + i] + memory.codes[at * 64 + 32 + i];
          std::int16_t code = 0;
          std::memcpy(&code, memory.codes.data() + (at * 32 + i) * 2, 2);
          return code;
        };
        for (std::size_t g = 0; g < kRows * kGroups; ++g) {
          const std::size_t row = g / kGroups;
          const std::size_t group = g % kGroups;
          const std::size_t at = by_group ? group * kRows + row : g;
          SCOPED_TRACE(testing::Message() << kernels->name << " planes " << n_planes << " row "
                                          << row << " group " << group);
          const std::size_t first = group / per_scale * per_scale;
          const std::size_t last = std::min(first + per_scale, kGroups);
          float largest = 0.0F;
          std::int32_t most = 0;
          for (std::size_t i = first * 32; i < last * 32; ++i) {
            largest = std::max(largest, std::fabs(x[row * kK + i]));
            most = std::max(most, std::abs(code_at(row, i / 32, i % 32)));
          }
          EXPECT_GE(most, largest == 0.0F ? 0 : (n_planes == 1 ? 127 : 32000));
          const float scale = memory.scales[by_group ? group / per_scale * kRows + row
                                                     : row * n_scales + group / per_scale];
          const float step = n_planes == 1 ? largest / 127.0F : largest / 32000.0F;
          std::int32_t sum[2] = {};
          for (std::size_t i = 0; i < 32; ++i) {
            const std::int32_t code = code_at(row, group, i);
            sum[i / 16] += code;
            // A low byte never is -128: such a code is one off.
            const float most_off = n_planes == 1 ? 0.5001F : 1.0001F;
            EXPECT_NEAR(scale * static_cast<float>(code), x[g * 32 + i], most_off * step);
            if (by_group) {
              EXPECT_NE(memory.codes[(at * static_cast<std::size_t>(n_planes)) * 32 + i], -128);
            }
          }
          const float unit = n_planes == 1 ? scale : 1.0F;
          const float off = n_planes == 1 ? 1e-6F * largest : 0.0F;
          EXPECT_NEAR(memory.sums[at], unit * static_cast<float>(sum[0] + sum[1]), off);
          for (std::size_t h = 0; h < 2; ++h) {
            EXPECT_NEAR(memory.sums16[2 * at + h], unit * static_cast<float>(sum[h]), off);
          }
          if (n_planes == 2 && !by_group) continue;
          EXPECT_EQ(memory.neg_sums[at], -(sum[0] + sum[1]));
          for (std::size_t h = 0; h < 2; ++h) EXPECT_EQ(memory.neg_sums16[2 * at + h], -sum[h]);
        }
      }
    }
  }
}

TEST(Kernels, RowOperationsStopAtTheEndOfTheRow) {
  constexpr float kGuard = 777.0F;
  for (const Kernels* kernels : all_kernels()) {
    for (const std::size_t n : {1U, 2U, 15U, 16U, 17U, 31U, 32U, 33U, 48U, 100U}) {
      SCOPED_TRACE(testing::Message() << kernels->name << " " << n);
      const auto count = static_cast<std::int64_t>(n);
      auto x = numbers(n + 1, -3, 2);
      const auto y = numbers(2 * n + 1, -3, 2);
      std::vector<float> out(n + 1, kGuard);
      kernels->add(x.data(), y.data(), 0.75F, count, out.data());
      double square = 0.0;
      double total = 0.0;
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_NEAR(out[i], x[i] + 0.75F * y[i], 1e-6F * (1.0F + std::fabs(out[i])));
        square += double{x[i]} * double{x[i]};
        total += double{x[i]};
      }
      EXPECT_EQ(out[n], kGuard);

      const double root = std::sqrt(square / static_cast<double>(n) + 0.25);
      kernels->rms_norm(x.data(), y.data(), 1.0F, 0.25F, count, out.data());
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_NEAR(out[i], double{x[i]} / root * (double{y[i]} + 1.0), 2e-5);
      }
      EXPECT_EQ(out[n], kGuard);

      const double mean = total / static_cast<double>(n);
      double variance = 0.0;
      for (std::size_t i = 0; i < n; ++i) variance += std::pow(double{x[i]} - mean, 2.0);
      const double deviation = std::sqrt(variance / static_cast<double>(n) + 0.25);
      for (const bool biased : {false, true}) {
        const float* bias = biased ? y.data() + n : nullptr;
        kernels->layer_norm(x.data(), y.data(), bias, 0.0F, 0.25F, count, out.data());
        for (std::size_t i = 0; i < n; ++i) {
          const double want =
              (double{x[i]} - mean) / deviation * double{y[i]} + (biased ? double{y[n + i]} : 0.0);
          EXPECT_NEAR(out[i], want, 2e-5);
        }
        EXPECT_EQ(out[n], kGuard);
      }

      x[n] = kGuard;
      auto capped = x;
      kernels->scale_cap(capped.data(), count, 3.0F, 2.0F);
      kernels->scale_cap(x.data(), count, 3.0F, 0.0F);
      const auto original = numbers(n, -3, 2);
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_EQ(x[i], original[i] * 3.0F);
        EXPECT_NEAR(capped[i], 2.0 * std::tanh(double{x[i]} / 2.0), 3e-6);
      }
      EXPECT_EQ(x[n], kGuard);
      EXPECT_EQ(capped[n], kGuard);
    }
  }
}

TEST(Kernels, CodesOfInt16AreTheNearestWithinTheirBounds) {
  constexpr std::int16_t kGuard = 12345;
  for (const Kernels* kernels : all_kernels()) {
    for (const std::size_t n : {1U, 7U, 16U, 33U, 64U, 1024U}) {
      for (const float bound : {0.0F, kMostNorm}) {
        for (const float size : {1e-30F, 1.0F, 1e37F}) {
          SCOPED_TRACE(testing::Message()
                       << kernels->name << " " << n << " " << bound << " " << size);
          auto x = numbers(n, -3, 2);
          for (float& v : x) v *= size;
          std::vector<std::int16_t> codes(n + 1, kGuard);
          const float scale =
              kernels->to_i16(x.data(), static_cast<std::int64_t>(n), bound, codes.data());
          double squares = 0.0;
          int largest = 0;
          for (std::size_t i = 0; i < n; ++i) {
            const int code = codes[i];
            EXPECT_NEAR(code * double{scale}, x[i], 0.505 * double{scale});
            squares += static_cast<double>(code) * code;
            largest = std::max(largest, std::abs(code));
          }
          EXPECT_LE(largest, 32767);
          EXPECT_EQ(codes[n], kGuard);
          const double length = std::sqrt(squares);
          if (bound > 0.0F) {
            EXPECT_LE(length, 46017.0);
          }
          EXPECT_TRUE(largest >= 32766 || (bound > 0.0F && length > 45980.0)) << "wasted bits";
        }
      }
      const std::vector<float> nothing(n, 1e-38F);
      std::vector<std::int16_t> codes(n, kGuard);
      EXPECT_EQ(kernels->to_i16(nothing.data(), static_cast<std::int64_t>(n), 0.0F, codes.data()),
                0.0F);
      EXPECT_EQ(codes, std::vector<std::int16_t>(n, 0));
    }
  }
}

TEST(Kernels, StatesOfSpansMergeToTheWhole) {
  // A state over nothing changes nothing, and gives zeros when it is all there is.
  constexpr std::int64_t kDim = 20;
  const auto size = static_cast<std::size_t>(attention_state_floats(kDim));
  EXPECT_EQ(size, 16U + 16U + 32U);
  for (const Kernels* kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name);
    // One block of 16 positions of one key and value head; the query sees [begin, end).
    std::vector<float> keys(kDim * 16), values(16 * 32, 0.0F);
    const auto x = numbers(2 * kDim * 16 + kDim, -3, 1);
    for (std::size_t d = 0; d < kDim; ++d) {
      for (std::size_t p = 0; p < 16; ++p) keys[d * 16 + p] = x[d * 16 + p];
    }
    for (std::size_t p = 0; p < 16; ++p) {
      std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(kDim * 16 + p * kDim), kDim,
                  values.begin() + static_cast<std::ptrdiff_t>(p * 32));
    }
    const float* q = x.data() + 2 * kDim * 16;
    const std::int32_t block = 0;
    AttentionQuery query{q, nullptr, 0.0F, 3, 14, nullptr};
    AttentionArgs args;
    args.queries = &query;
    args.n_queries = 1;
    args.head_dim = kDim;
    args.value_dim = kDim;
    args.block_size = 16;
    args.scale = 0.5F;
    args.blocks = &block;
    args.keys = reinterpret_cast<const unsigned char*>(keys.data());
    args.values = reinterpret_cast<const unsigned char*>(values.data());
    std::vector<float> whole(size), nothing(size), got(kDim), want(kDim);
    kernels->attend(&args, 0, 16, whole.data());
    kernels->finish(whole.data(), kDim, want.data());
    std::vector<double> mean(kDim, 0.0);
    double total = 0.0;
    for (std::size_t p = 3; p < 14; ++p) {
      double score = 0.0;
      for (std::size_t d = 0; d < kDim; ++d) score += double{q[d]} * double{keys[d * 16 + p]};
      const double weight = std::exp(0.5 * score);
      total += weight;
      for (std::size_t d = 0; d < kDim; ++d) mean[d] += weight * double{values[p * 32 + d]};
    }
    for (std::size_t d = 0; d < kDim; ++d) ASSERT_NEAR(want[d], mean[d] / total, 1e-5);

    query.end = query.begin;  // sees nothing
    kernels->attend(&args, 0, 16, nothing.data());
    kernels->finish(nothing.data(), kDim, got.data());
    EXPECT_EQ(got, std::vector<float>(kDim, 0.0F));
    auto merged = whole;
    kernels->merge(merged.data(), nothing.data(), kDim);
    kernels->finish(merged.data(), kDim, got.data());
    EXPECT_EQ(got, want);
    merged = nothing;
    kernels->merge(merged.data(), nothing.data(), kDim);
    kernels->merge(merged.data(), whole.data(), kDim);
    kernels->finish(merged.data(), kDim, got.data());
    EXPECT_EQ(got, want);
  }
}

}  // namespace
}  // namespace openllm::kernels
