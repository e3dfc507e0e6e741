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

}  // namespace
}  // namespace openllm::base
