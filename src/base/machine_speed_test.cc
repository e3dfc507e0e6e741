#include "base/machine_speed.h"

#include <gtest/gtest.h>

namespace openllm::base {
namespace {

TEST(MachineSpeed, IsMeasured) {
  const MachineSpeed speed = measure_machine(2, 0.01);
  EXPECT_GT(speed.read_gb_per_s, 0.0);
  EXPECT_GE(speed.f32_gflop_per_s, 0.0);
  EXPECT_FALSE(cpu_name().empty());
}

TEST(MachineSpeed, NarrowPeaksAreThereWhereTheProductsAre) {
  const MachineSpeed speed = measure_machine(1, 0.02);
  const NarrowPeaks peaks = measure_narrow_peaks(1, 0.02);
  if (peaks.bf16_gflop_per_s == 0.0) GTEST_SKIP() << "this CPU has no products of BF16";
  // The machine may be busy; a loop that the compiler left out would be thousands of times as fast.
  EXPECT_LT(peaks.bf16_gflop_per_s, 1000.0 * speed.f32_gflop_per_s);
  EXPECT_EQ(peaks.int8_tiles_gop_per_s > 0.0, peaks.bf16_tiles_gflop_per_s > 0.0);
  EXPECT_LT(peaks.int8_tiles_gop_per_s, 1000.0 * speed.int8_gop_per_s);
  EXPECT_LT(peaks.bf16_tiles_gflop_per_s, 1000.0 * speed.f32_gflop_per_s);
}

}  // namespace
}  // namespace openllm::base
