#include "client/native_wire.h"

#include <gmock/gmock.h>

#include "client/server_error.h"

namespace openllm::client {
namespace {

using ::testing::HasSubstr;

GenerationOutput output_of(int n) {
  GenerationOutput output;
  output.outputs.resize(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) output.outputs[static_cast<std::size_t>(i)].index = i;
  return output;
}

void merge(GenerationOutput& output, const std::string& text,
           OutputKind kind = OutputKind::kCumulative) {
  merge_native(output, parse_answer(text), kind);
}

TEST(NotInherited, N41OnlyWhatWasSetIsSent) {
  const auto body = [](const LLMConfig& patch, const GenerateOptions& options) {
    return make_native_body("a", patch, options, "");
  };
  EXPECT_EQ(body({}, {}), R"({"prompt":"a"})");
  EXPECT_EQ(body({.temperature = 0.0F}, {}), R"({"prompt":"a","llm_config":{"temperature":0.0}})");
  EXPECT_EQ(body({}, {.stop = {{"x"}}, .request_id = {"r"}}),
            R"({"prompt":"a","stop":["x"],"request_id":"r"})");
  EXPECT_EQ(body({}, {.n = 2, .prompt_logprobs = 1, .adapter_name = {"b"}}),
            R"({"prompt":"a","adapter_name":"b","llm_config":{"n":2,"prompt_logprobs":1}})")
      << "what OpenAI's routes do not have";
}

TEST(NativeBody, OptionsOverrideThePatch) {
  EXPECT_EQ(make_native_body("a", {.max_new_tokens = 5, .top_k = 7}, {.max_new_tokens = 9}, "m"),
            R"({"model":"m","prompt":"a","llm_config":{"max_new_tokens":9,"top_k":7}})");
  EXPECT_EQ(make_native_body("a", {.max_new_tokens = 5}, {.max_length = 9}, ""),
            R"({"prompt":"a","llm_config":{"max_length":9}})")
      << "which says the same in another way";
}

TEST(NativeBody, PromptsOfEveryKind) {
  EXPECT_EQ(make_native_body(std::vector<std::int32_t>{1, 403}, {}, {}, ""),
            R"({"prompt_token_ids":[1,403]})");
  EXPECT_EQ(make_native_body(std::vector<Message>{{"user", "Hi", ""}}, {}, {}, ""),
            R"({"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_THROW(make_native_body(std::vector<std::int32_t>{}, {}, {}, ""), Error);
}

TEST(NativeBody, ARandomSeedIsAskedFor) {
  EXPECT_EQ(make_native_body("a", {.seed = 5}, {.seed = kRandomSeed}, ""),
            R"({"prompt":"a","llm_config":{"seed":-1}})");
}

TEST(NativeAnswer, AWholeOneHasEverything) {
  GenerationOutput output = output_of(2);
  merge(
      output,
      R"({"prompt":"P","finished":true,"request_id":"r","error":null,"outputs":[)"
      R"({"index":0,"text":"ab","token_ids":[5,6],"cumulative_logprob":-1.5,"finish_reason":"stop",)"
      R"("logprobs":[{"5":-1.0,"9":-2.0},{"6":-0.5}]},)"
      R"({"index":1,"text":"c","token_ids":[7],"cumulative_logprob":-3,"finish_reason":"length",)"
      R"("logprobs":null}],"prompt_token_ids":[1,2],"prompt_logprobs":[null,{"2":-4.0}],)"
      R"("usage":{"n_prompt_tokens":2,"n_cached_tokens":1,"n_completion_tokens":3},)"
      R"("timing":{"queued_s":0.25,"first_token_s":1,"total_s":2}})");
  EXPECT_TRUE(output.finished);
  EXPECT_EQ(output.prompt, "P");
  EXPECT_EQ(output.request_id, "r");
  EXPECT_EQ(output.outputs[0].text, "ab");
  EXPECT_EQ(output.outputs[0].token_ids, (std::vector<std::int32_t>{5, 6}));
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kStop);
  ASSERT_EQ(output.outputs[0].logprobs->size(), 2U);
  ASSERT_EQ(output.outputs[0].logprobs->at(0).size(), 2U);
  EXPECT_EQ(output.outputs[0].logprobs->at(0)[0].token_id, 5) << "the chosen one first";
  EXPECT_EQ(output.outputs[0].logprobs->at(0)[1].logprob, -2.0F);
  EXPECT_EQ(output.outputs[1].cumulative_logprob, -3.0);
  EXPECT_EQ(output.outputs[1].finish_reason, FinishReason::kLength);
  EXPECT_FALSE(output.outputs[1].logprobs);
  EXPECT_EQ(output.prompt_token_ids, (std::vector<std::int32_t>{1, 2}));
  ASSERT_EQ(output.prompt_logprobs->size(), 2U);
  EXPECT_TRUE(output.prompt_logprobs->at(0).empty());
  EXPECT_EQ(output.usage.n_completion_tokens, 3);
  EXPECT_EQ(output.n_cached_tokens, 1);
  EXPECT_EQ(output.timing.queued_s, 0.25);
}

TEST(NativeAnswer, EventsAddUp) {
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    GenerationOutput output = output_of(1);
    merge(output,
          R"({"prompt":"P","finished":false,"prompt_token_ids":[1],"outputs":[{"text":"a",)"
          R"("token_ids":[5],"cumulative_logprob":-1}]})",
          kind);
    merge(output,
          R"({"prompt":"","finished":true,"prompt_token_ids":null,"outputs":[{"text":"b",)"
          R"("token_ids":[6],"cumulative_logprob":-3,"finish_reason":"length"}]})",
          kind);
    EXPECT_EQ(output.outputs[0].text, kind == OutputKind::kDelta ? "b" : "ab");
    EXPECT_EQ(output.outputs[0].delta, "b");
    EXPECT_EQ(output.outputs[0].n_delta_tokens, 1U);
    EXPECT_EQ(output.outputs[0].cumulative_logprob, -3.0);
    EXPECT_EQ(output.prompt, "P") << "the first event has it";
    EXPECT_EQ(output.prompt_token_ids, (std::vector<std::int32_t>{1}));
    EXPECT_EQ(output.usage.n_completion_tokens, 2) << "counted where the server does not tell";
  }
}

TEST(NotInherited, N34PartsWithoutTokensAreRead) {
  GenerationOutput output = output_of(1);
  merge(output, R"({"finished":false,"outputs":[]})");
  merge(output, R"({"finished":false,"outputs":[{"index":0,"text":"","token_ids":[]}]})");
  merge(output, R"({"finished":false,"outputs":[{"index":0,"text":"a"}]})");
  merge(output, R"({"finished":false,"outputs":[{"index":0,"text":null,"token_ids":null}]})");
  merge(output, R"({"finished":true,"outputs":[{"index":0,"finish_reason":"stop"}]})");
  EXPECT_EQ(output.outputs[0].text, "a");
  EXPECT_TRUE(output.outputs[0].token_ids.empty());
  EXPECT_TRUE(output.finished);
}

TEST(NativeAnswer, WrongShapesAreTheServersFault) {
  for (const char* answer :
       {"5", "{}", R"({"outputs":[]})", R"({"finished":true})", R"({"outputs":5,"finished":true})",
        R"({"outputs":[5],"finished":true})", R"({"outputs":[],"finished":1})",
        R"({"outputs":[{"index":128}],"finished":true})",
        R"({"outputs":[{"index":-1}],"finished":true})",
        R"({"outputs":[{"text":5}],"finished":true})",
        R"({"outputs":[{"token_ids":["a"]}],"finished":true})",
        R"({"outputs":[{"logprobs":[{"a":-1}]}],"finished":true})",
        R"({"outputs":[{"logprobs":[{"5":"x"}]}],"finished":true})",
        R"({"outputs":[{"finish_reason":"bored"}],"finished":true})"}) {
    GenerationOutput output = output_of(1);
    try {
      merge(output, answer);
      ADD_FAILURE() << answer;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo) << answer;
      EXPECT_THAT(error.what(), HasSubstr("server's answer")) << answer;
    }
  }
}

TEST(NativeAnswer, AChoiceThatFailedIsAnError) {
  GenerationOutput output = output_of(1);
  try {
    merge(output,
          R"({"finished":true,"error":"out of luck","outputs":[{"finish_reason":"error"}]})");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("out of luck"));
  }
}

}  // namespace
}  // namespace openllm::client
