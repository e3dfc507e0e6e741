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

GenerationOutput ended_by(std::initializer_list<FinishReason> reasons) {
  GenerationOutput output;
  for (const FinishReason reason : reasons) output.outputs.push_back({.finish_reason = reason});
  return output;
}

/// The exit status of an answer, and what is told beside it.
std::string status(const GenerationOutput& output, const GenerateOptions& asked = {},
                   const GenerateOptions& options = {}) {
  ::testing::internal::CaptureStderr();
  const int status = status_of(output, asked, options);
  const std::string told = ::testing::internal::GetCapturedStderr();
  return std::to_string(status) + " " + told;
}

TEST(StatusOfAnAnswer, TellsWhyItWasCut) {
  using enum FinishReason;
  EXPECT_EQ(status(ended_by({kStop})), "0 ");
  EXPECT_EQ(status(ended_by({kCancelled})), "0 ");
  const std::string context =
      "0 openllm: note: the answer was cut where its length or the context ended\n";
  EXPECT_EQ(status(ended_by({kLength})), context);
  EXPECT_EQ(status(ended_by({kStop, kLength})), context);
  EXPECT_EQ(status(ended_by({kLength, kStop})), context) << "any of them";
  EXPECT_EQ(status(ended_by({kLength}), {}, {.max_new_tokens = 128}),
            "0 openllm: note: the text was cut after 128 tokens (--max-tokens N sets another "
            "length)\n");
  EXPECT_EQ(status(ended_by({kLength}), {.max_new_tokens = 7}, {.max_new_tokens = 7}), "0 ")
      << "as it was asked for";
  EXPECT_EQ(status(ended_by({kLength, kDeadline})),
            "9 openllm: the answer was cut when its time was over\n");
}

/// The error that a user sees of one.
Error for_user(const Error& error) {
  try {
    rethrow_for_user(error, "context of 7 tokens");
  } catch (const Error& shown) {
    return shown;
  }
  return {ErrorCode::kInternal, "nothing was thrown"};
}

TEST(ErrorsOfAnswers, NameTheOption) {
  const Error field = for_user({ErrorCode::kInvalidArgument, "top_p: bad", "top_p"});
  EXPECT_STREQ(field.what(), "top_p: bad (option --top-p)");
  EXPECT_EQ(field.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(field.where(), "top_p");
  EXPECT_STREQ(for_user({ErrorCode::kIo, "gone", "file"}).what(), "gone");
  const Error context =
      for_user({ErrorCode::kInvalidArgument, "too long", "prompt", ErrorReason::kContextTooLong});
  EXPECT_STREQ(context.what(),
               "the prompt does not fit into the context of 7 tokens (--truncate-prompt keeps its "
               "end)");
  EXPECT_EQ(context.reason(), ErrorReason::kContextTooLong);
}

}  // namespace
}  // namespace openllm::cli
