#include "cli/environment.h"

#include <gmock/gmock.h>

namespace openllm::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Environment, TellsOfVariablesThatNothingReads) {
  const std::vector<const char*> ours{"OPENLLM_HOME=/x",
                                      "OPENLLM_BACKEND=native",
                                      "OPENLLM_CONFIG={}",
                                      "OPENLLM_API_KEY=a",
                                      "OPENLLM_ENDPOINT=b",
                                      "OPENLLM_AUTH_TOKEN=c",
                                      "OPENLLM_GENERATION_TEMPERATURE=1",
                                      "OPENLLM_SAMPLING_TOP_K=1",
                                      "PATH=/bin",
                                      nullptr};
  EXPECT_THAT(unknown_variables(ours.data()), IsEmpty());
  const std::vector<const char*> others{"OPENLLM_HOM=/x", "OPENLLM_DEBUG_EVERYTHING=1", "OPENLLM=1",
                                        nullptr};
  EXPECT_THAT(unknown_variables(others.data()),
              ElementsAre("nothing reads the variable OPENLLM_HOM; did you mean OPENLLM_HOME?",
                          "nothing reads the variable OPENLLM_DEBUG_EVERYTHING"));
  EXPECT_THAT(unknown_variables(nullptr), IsEmpty());
}

}  // namespace
}  // namespace openllm::cli
