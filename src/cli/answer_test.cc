#include "cli/answer.h"

#include <gtest/gtest.h>

namespace openllm::cli {
namespace {

TEST(Timing, CountsTheFirstTokenWithThePrompt) {
  const Timing timing{.load_s = 0.5,
                      .first_token_s = 2.0,
                      .total_s = 3.0,
                      .n_prompt = 20,
                      .n_cached = 10,
                      .n_answer = 11};
  EXPECT_EQ(
      describe(timing),
      "load 0.50 s | prompt 20 tokens (10 cached), 5.0 tokens/s | answer 11 tokens, 10.0 tokens/s");
  EXPECT_EQ(describe({}),
            "load 0.00 s | prompt 0 tokens, 0.0 tokens/s | answer 0 tokens, 0.0 tokens/s");
}

TEST(Timing, OutputsThatWereMergedIntoTheFirstAreNotInfinitelyFast) {
  Timing timing{.first_token_s = 2.0, .total_s = 3.0, .n_prompt = 20, .n_answer = 11, .n_first = 5};
  EXPECT_EQ(describe(timing),
            "load 0.00 s | prompt 20 tokens, 10.0 tokens/s | answer 11 tokens, 6.0 tokens/s");
  timing.n_first = 11;  // all in one
  timing.total_s = 2.000001;
  EXPECT_EQ(describe(timing),
            "load 0.00 s | prompt 20 tokens, 10.0 tokens/s | answer 11 tokens, 5.5 tokens/s");
}

}  // namespace
}  // namespace openllm::cli
