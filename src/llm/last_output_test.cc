#include "llm/last_output.h"

#include <gtest/gtest.h>

namespace openllm::llm {
namespace {

TEST(LastOutput, N26AnAnswerThatNeverCameIsAnError) {
  EXPECT_THROW((void)LastOutput().take(), Error);
  LastOutput half;
  half.add(GenerationOutput{});  // not finished
  EXPECT_THROW((void)half.take(), Error);
}

TEST(LastOutput, IsTheLastOne) {
  LastOutput last;
  GenerationOutput output;
  last.add(output);
  output.request_id = "a";
  output.finished = true;
  last.add(output);
  EXPECT_EQ(last.take().request_id, "a");
  EXPECT_THROW((void)last.take(), Error);
}

}  // namespace
}  // namespace openllm::llm
