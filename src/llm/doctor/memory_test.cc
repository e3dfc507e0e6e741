#include "llm/doctor/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace openllm::llm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kMiB = std::int64_t{1} << 20U;

/// A model of 100 MiB whose tokens take 1 KiB each, on a machine with that much memory.
Diagnosis examine(std::int64_t memory_available, LoadOptions load = {}) {
  backend::Footprint footprint;
  footprint.memory_bytes = 100 * kMiB;
  footprint.max_model_len = 8192;
  footprint.kv_groups = {{kv::KvKind::kFull, 0, {0}, 1024 * load.kv_block_size}};
  Diagnosis diagnosis;
  diagnosis.machine.memory_available = memory_available;
  diagnosis.model.emplace();
  load.max_sequences = 4;
  examine_memory(diagnosis, footprint, load);
  return diagnosis;
}

TEST(DoctorMemory, EnoughIsFine) {
  const Diagnosis diagnosis = examine(1000 * kMiB);
  EXPECT_THAT(diagnosis.findings, IsEmpty());
  EXPECT_EQ(diagnosis.model->context, 8192);
  EXPECT_EQ(diagnosis.model->kv_bytes_of_context, 8 * kMiB);
  EXPECT_EQ(diagnosis.model->kv_bytes, 8 * kMiB);
}

TEST(DoctorMemory, WeightsThatDoNotFitAreAnError) {
  const Diagnosis diagnosis = examine(99 * kMiB);
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_EQ(diagnosis.findings[0].severity, Severity::kError);
  EXPECT_EQ(diagnosis.findings[0].code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(diagnosis.findings[0].what, HasSubstr("100 MiB, and there are 99 MiB"));
}

TEST(DoctorMemory, AShorterContextIsAWarningWithItsLength) {
  const Diagnosis diagnosis = examine(112 * kMiB);  // a third of 12 MiB is for the cache
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_EQ(diagnosis.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(diagnosis.model->context, 4096);
  EXPECT_THAT(diagnosis.findings[0].fix, HasSubstr("--max-model-len 4096"));
}

TEST(DoctorMemory, NoRoomForASingleBlockIsAnError) {
  const Diagnosis diagnosis = examine(100 * kMiB + 1024);
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_EQ(diagnosis.findings[0].severity, Severity::kError);
}

TEST(DoctorMemory, ACacheThatIsPromisedMoreThanThereIsIsAnError) {
  LoadOptions load;
  load.kv_cache_bytes = 500 * kMiB;
  const Diagnosis diagnosis = examine(300 * kMiB, load);
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_EQ(diagnosis.findings[0].code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(diagnosis.findings[0].fix, HasSubstr("--kv-cache-bytes"));
}

}  // namespace
}  // namespace openllm::llm
