// Names in bodies: what is known, what is the template's, what nobody knows.

#include <gmock/gmock.h>

#include "server/api/test_support.h"

namespace openllm::server {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

TEST(ChatRequest, FurtherMembersOfMessagesAreForTheTemplate) {
  const auto request = parse_chat_request(
      R"({"messages":[{"role":"user","content":"Hi","name":"Ann","mood":{"a":1},"cache_control":{}},
          {"role":"assistant","content":"So","prefix":true,"reasoning_content":"hm","refusal":null,
           "annotations":[],"audio":null,"tool_calls":[]},
          {"role":"ipython","content":"5"},{"role":"assistant","refusal":"I cannot."}]})");
  EXPECT_EQ(request.messages[0].extra_json, R"({"name":"Ann","mood":{"a":1}})");
  EXPECT_EQ(request.messages[1].extra_json, R"({"prefix":true,"reasoning_content":"hm"})");
  EXPECT_EQ(request.messages[2].role, "ipython");
  EXPECT_EQ(request.messages[3].content, "I cannot.");
  EXPECT_EQ(request.messages[3].extra_json, "");
  EXPECT_TRUE(request.ignored.empty());
}

TEST(ChatRequest, VariablesOfTheTemplateAreGivenOnce) {
  const std::string begin = R"({"messages":[{"role":"user","content":"Hi"}],)";
  EXPECT_EQ(parse_chat_request(begin + R"("documents":[{"title":"a","text":"b"}]})")
                .options.chat_template_json,
            R"({"documents":[{"title":"a","text":"b"}]})");
  EXPECT_THAT(chat_failure(
                  R"("reasoning_effort":"low","chat_template_kwargs":{"reasoning_effort":"high"})"),
              StartsWith("reasoning_effort||reasoning_effort: given twice"));
  EXPECT_THAT(chat_failure(R"("documents":"a")"), StartsWith("documents||"));
  EXPECT_THAT(
      chat_failure(R"("tools":[{"type":"function","function":{"name":"f","strict":true}}])"),
      StartsWith("tools[0].function.strict|unsupported_parameter|"));
}

TEST(ChatRequest, UnknownNamesAreCollectedWithTheirPlace) {
  const auto request = parse_chat_request(
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"Hi","zz":1}]}],
          "tomorrows_field":1,"nothing":null,"stream":true,
          "stream_options":{"include_usage":true,"newer":2},"response_format":{"type":"text","zz":1}})");
  EXPECT_THAT(request.ignored, ElementsAre("tomorrows_field", "response_format.zz",
                                           "stream_options.newer", "messages[0].content[0].zz"));
  EXPECT_TRUE(request.include_usage);
  EXPECT_THAT(chat_failure(R"("temprature":0)"), StartsWith("temprature|unknown_parameter|"));
  EXPECT_THAT(chat_failure(R"("stream":true,"stream_options":{"include_usge":true})"),
              StartsWith("stream_options.include_usge|unknown_parameter|"));
}

TEST(ChatRequest, OtherEnginesFieldsAreNeverIgnored) {
  for (const char* member : {R"("repeat_penalty":1.8)",
                             R"("rep_pen":1.1)",
                             R"("repeat_last_n":64)",
                             R"("tfs_z":0.5)",
                             R"("top_a":0.1)",
                             R"("samplers":["top_k"])",
                             R"("min_keep":1)",
                             R"("do_sample":false)",
                             R"("t_max_predict_ms":5)",
                             R"("no_stop_trim":true)",
                             R"("system":"x")",
                             R"("format":"json")",
                             R"("prediction":{"type":"content"})",
                             R"("options":{"temperature":0})",
                             R"("think":true)",
                             R"("thinking":{"type":"enabled"})",
                             R"("enable_thinking":true)",
                             R"("reasoning":{})",
                             R"("structural_tag":{})",
                             R"("lora_path":"a")",
                             R"("verbosity":"low")",
                             R"("n_probs":2)",
                             R"("post_sampling_probs":true)",
                             R"("logprob_token_ids":[1])",
                             R"("return_progress":true)",
                             R"("timings_per_token":true)",
                             R"("continuous_usage_stats":true)",
                             R"("truncation_side":"right")",
                             R"("web_search_options":{})",
                             R"("guided_json":{})",
                             R"("json_schema":{})",
                             R"("thinking_token_budget":0)"}) {
    const std::string name = std::string(member).substr(1, std::string(member).find('"', 1) - 1);
    EXPECT_THAT(chat_failure(member), StartsWith(name + "|unsupported_parameter|" + name));
    EXPECT_THAT(completion_failure(R"({"prompt":"a",)" + std::string(member) + "}"),
                StartsWith(name + "|unsupported_parameter|" + name));
  }
  EXPECT_THAT(chat_failure(R"("prompt_logprobs":0)"),
              StartsWith("prompt_logprobs|unsupported_parameter|"));
  EXPECT_THAT(chat_failure(R"("prompt":"a")"), StartsWith("prompt|unsupported_parameter|"));
  EXPECT_THAT(completion_failure(R"({"prompt":"a","messages":[]})"),
              StartsWith("messages|unsupported_parameter|"));
  EXPECT_THAT(completion_failure(R"({"prompt":"a","tools":[{"type":"function"}]})"),
              StartsWith("tools|unsupported_parameter|"));
  EXPECT_THAT(completion_failure(R"({"prompt":"a","top_logprobs":2})"),
              StartsWith("top_logprobs|unsupported_parameter|"));
}

TEST(ErrorBodies, FieldsHaveTheNamesOfBodies) {
  const auto param = [](const char* where) {
    const std::string body = openai_error_body(error_report(400, "x", where));
    return *base::Json::parse(body, "body").find("error")->find("param")->if_string();
  };
  EXPECT_EQ(param("max_new_tokens"), "max_tokens");
  EXPECT_EQ(param("tools_json"), "tools");
  EXPECT_EQ(param("chat_template_json.enable_thinking"), "chat_template_kwargs.enable_thinking");
  EXPECT_EQ(param("chat_template_json.reasoning_effort"), "reasoning_effort");
  EXPECT_EQ(param("chat_template_json.documents"), "documents");
  EXPECT_EQ(param("messages[0].name"), "messages[0].name");
}

}  // namespace
}  // namespace openllm::server
