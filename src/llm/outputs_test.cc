#include "openllm/outputs.h"

#include <gtest/gtest.h>

namespace openllm {
namespace {

TEST(Outputs, OfNothingIsJsonWithEveryField) {
  EXPECT_EQ(to_json({}),
            R"({"prompt":"","finished":false,"outputs":[],"prompt_token_ids":null,)"
            R"("prompt_logprobs":null,"request_id":"","n_cached_tokens":0,"error":null,)"
            R"("usage":{"n_prompt_tokens":0,"n_cached_tokens":0,"n_completion_tokens":0},)"
            R"("timing":{"queued_s":null,"first_token_s":null,"total_s":0.0},"receipt":null})");
}

TEST(Outputs, OfAnAnswerIsJsonWithEveryValueInItsPlace) {
  GenerationOutput output;
  output.prompt = "a\"";
  output.finished = true;
  output.outputs.resize(2);
  CompletionChunk& first = output.outputs[0];
  first.text = "xy";
  first.token_ids = {7, 8};
  first.cumulative_logprob = -1.5;
  // Two positions, of which one has no list; only before a prompt there is nothing.
  first.logprobs.emplace({TokenLogprobs{{7, -0.5F}, {9, -2.0F}}, TokenLogprobs{}});
  first.finish_reason = FinishReason::kLength;
  first.delta = "y";
  first.n_delta_tokens = 1;
  output.outputs[1].index = 1;
  output.prompt_token_ids.emplace({3, 4});
  output.prompt_logprobs.emplace({TokenLogprobs{}, TokenLogprobs{{4, -0.25F}}});
  output.request_id = "name";
  output.n_cached_tokens = 5;
  output.error = "e";
  output.usage = {.n_prompt_tokens = 11, .n_cached_tokens = 12, .n_completion_tokens = 13};
  output.receipt = R"({"receipt":1})";
  output.timing = {.queued_s = 0.5, .first_token_s = 1.5, .total_s = 2.5};
  EXPECT_EQ(to_json(output),
            R"({"prompt":"a\"","finished":true,"outputs":[)"
            R"({"index":0,"text":"xy","token_ids":[7,8],"cumulative_logprob":-1.5,)"
            R"("logprobs":[{"7":-0.5,"9":-2.0},{}],"finish_reason":"length","delta":"y",)"
            R"("n_delta_tokens":1},)"
            R"({"index":1,"text":"","token_ids":[],"cumulative_logprob":0.0,"logprobs":null,)"
            R"("finish_reason":null,"delta":"","n_delta_tokens":0}],)"
            R"("prompt_token_ids":[3,4],"prompt_logprobs":[null,{"4":-0.25}],)"
            R"("request_id":"name","n_cached_tokens":5,"error":"e",)"
            R"("usage":{"n_prompt_tokens":11,"n_cached_tokens":12,"n_completion_tokens":13},)"
            R"("timing":{"queued_s":0.5,"first_token_s":1.5,"total_s":2.5},)"
            R"("receipt":{"receipt":1}})");
}

TEST(Outputs, EveryEndHasAName) {
  EXPECT_STREQ(to_string(FinishReason::kStop), "stop");
  EXPECT_STREQ(to_string(FinishReason::kLength), "length");
  EXPECT_STREQ(to_string(FinishReason::kCancelled), "cancelled");
  EXPECT_STREQ(to_string(FinishReason::kDeadline), "deadline");
  EXPECT_STREQ(to_string(FinishReason::kError), "error");
}

}  // namespace
}  // namespace openllm
