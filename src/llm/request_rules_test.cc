// The options of a request that shape its text, end to end.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "openllm/llm.h"

namespace openllm {
namespace {

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";

TEST(RequestRules, StopStringsEndTheTextWithOrWithoutThem) {
  const LLM llm(kModel, {.n_threads = 1});
  const GenerateOptions plain{.max_new_tokens = 40, .temperature = 0.0F};
  const std::string whole = llm.generate("Once upon a time", plain).outputs[0].text;
  ASSERT_GT(whole.size(), 20U);
  const std::string stop = whole.substr(10, 4);
  const std::string before = whole.substr(0, whole.find(stop));
  GenerateOptions options = plain;
  options.stop = std::vector<std::string>{stop};
  const CompletionChunk without = llm.generate("Once upon a time", options).outputs[0];
  EXPECT_EQ(without.text, before);
  EXPECT_EQ(without.finish_reason, FinishReason::kStop);
  options.include_stop_in_output = true;
  EXPECT_EQ(llm.generate("Once upon a time", options).outputs[0].text, before + stop);
}

TEST(RequestRules, NoStopEndsAnAnswerBeforeItsLeastLength) {
  const LLM llm(kModel, {.n_threads = 1});
  const GenerateOptions plain{.max_new_tokens = 40, .temperature = 0.0F};
  const CompletionChunk whole = llm.generate("Once upon a time", plain).outputs[0];
  GenerateOptions options = plain;
  options.stop = std::vector<std::string>{whole.text.substr(0, 3)};
  EXPECT_LT(llm.generate("Once upon a time", options).outputs[0].token_ids.size(), 8U);
  options.min_new_tokens = 8;
  EXPECT_GT(llm.generate("Once upon a time", options).outputs[0].token_ids.size(), 8U);
}

TEST(RequestRules, SpecialTokensAreTextWhereTheyAreAskedFor) {
  const LLM llm(kModel, {.n_threads = 1});
  GenerateOptions options{.max_new_tokens = 1, .temperature = 0.0F, .ignore_eos = true};
  options.logit_bias = std::map<std::int32_t, float>{{1, 1000.0F}};  // the beginning of sequence
  const CompletionChunk left_out = llm.generate("Once", options).outputs[0];
  ASSERT_EQ(left_out.token_ids, std::vector<std::int32_t>{1});
  EXPECT_EQ(left_out.text, "");
  options.skip_special_tokens = false;
  EXPECT_NE(llm.generate("Once", options).outputs[0].text, "");
}

/// How a request ended that was cancelled once it was accepted.
Task<FinishReason> cancel_once_accepted(LLM llm) {
  auto stream =
      llm.async_generate_iterator("Once", {.max_new_tokens = 480, .n = 128, .ignore_eos = true});
  co_await stream.accepted();
  stream.cancel();
  FinishReason reason = FinishReason::kError;
  while (const GenerationOutput* output = co_await stream.next())
    reason = output->outputs[127].finish_reason.value_or(FinishReason::kError);
  co_return reason;
}

TEST(RequestRules, AcceptanceIsToldBeforeTheEnd) {
  // A choice waits for the others here, so that the last one cannot be over at once.
  const LLM llm(kModel, {.device = "reference", .max_sequences = 1});
  EXPECT_EQ(cancel_once_accepted(llm).get(), FinishReason::kCancelled);
}

}  // namespace
}  // namespace openllm
