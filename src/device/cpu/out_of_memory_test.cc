// A lack of memory in an operation is told when the step ends, and is over then.

#include <gtest/gtest.h>

#include <new>

#include "base/failing_new.h"
#include "device/cpu/test_support.h"

namespace openllm::device {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

TEST(CpuDevice, AFailureEndsItsStepAndNoOther) {
  Random random(3);
  const auto device = make_cpu_device({1});
  const auto weight = upload(*device, make_weight(tensor::DType::kF32, 4, 8, random));
  const TestTensor x(*device, 2, 8, random.normals(16));
  const TestTensor out(*device, 2, 4);
  const step::Step step = step_of({0, 1});
  {
    const base::FailingNew failing(0);
    device->begin_step(step);
    device->linear(*weight, nullptr, {}, x, out);
    EXPECT_TRUE(failing.has_failed());
  }
  EXPECT_THROW(device->finish_step(), std::bad_alloc);
  device->begin_step(step);
  device->linear(*weight, nullptr, {}, x, out);
  EXPECT_NO_THROW(device->finish_step());
  EXPECT_NE(out.values(), std::vector<float>(8));
}

}  // namespace
}  // namespace openllm::device
