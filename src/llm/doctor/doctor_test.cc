#include "openllm/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace openllm {
namespace {

const std::string kStories = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";

TEST(Doctor, MemoryMayBeGiven) {
  DoctorOptions options;
  options.predict = false;
  options.memory_available = 1 << 20U;
  const Diagnosis diagnosis = diagnose(kStories, options);
  EXPECT_EQ(diagnosis.machine.memory_available, 1 << 20U);
  ASSERT_FALSE(diagnosis.findings.empty());
  EXPECT_EQ(diagnosis.findings.front().about, "memory");
  EXPECT_EQ(diagnosis.findings.front().code, ErrorCode::kResourceExhausted);
  options.memory_available = std::int64_t{1} << 30U;
  for (const Finding& finding : diagnose(kStories, options).findings)
    EXPECT_NE(finding.about, "memory") << finding.what;
}

TEST(Doctor, SaysWhatAnLlmTakes) {
  DoctorOptions options;
  options.predict = false;
  const Diagnosis diagnosis = diagnose(kStories, options);
  ASSERT_TRUE(diagnosis.model);
  const LLM llm(kStories);
  llm.load();
  EXPECT_EQ(diagnosis.model->kv_bytes, llm.stats().kv_bytes_total);
  EXPECT_EQ(diagnosis.model->context, llm.info().max_context);
  EXPECT_EQ(diagnosis.model->tag, llm.tag());
  EXPECT_EQ(diagnosis.model->decode_tokens_per_s, 0.0);  // not asked for
}

}  // namespace
}  // namespace openllm
