#include <gmock/gmock.h>

#include "server/api/test_support.h"

namespace openllm::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CompletionRequest, Defaults) {
  const CompletionRequest request = parse_completion_request(R"({"prompt":"Once"})");
  ASSERT_EQ(request.prompts.size(), 1U);
  EXPECT_EQ(*request.prompts[0].text(), "Once");
  EXPECT_FALSE(request.options.max_new_tokens) << "the server's";
  EXPECT_FALSE(request.options.n) << "the model's";
  EXPECT_FALSE(request.options.temperature.has_value());
  EXPECT_FALSE(request.options.logprobs.has_value());
  EXPECT_FALSE(request.stream);
}

TEST(CompletionRequest, FourKindsOfPrompts) {
  EXPECT_EQ(parse_completion_request(R"({"prompt":["a","b"]})").prompts.size(), 2U);
  const auto ids = parse_completion_request(R"({"prompt":[1,2,3]})");
  ASSERT_EQ(ids.prompts.size(), 1U);
  EXPECT_THAT(*ids.prompts[0].token_ids(), ElementsAre(1, 2, 3));
  const auto lists = parse_completion_request(R"({"prompt":[[1,2],[3]]})");
  ASSERT_EQ(lists.prompts.size(), 2U);
  EXPECT_THAT(*lists.prompts[1].token_ids(), ElementsAre(3));
}

TEST(CompletionRequest, TextsAndIdsMayBeMixed) {
  const auto list = parse_completion_request(R"({"prompt":["a",[1,2],"b"]})");
  ASSERT_EQ(list.prompts.size(), 3U);
  EXPECT_EQ(*list.prompts[0].text(), "a");
  EXPECT_THAT(*list.prompts[1].token_ids(), ElementsAre(1, 2));
  EXPECT_TRUE(list.mixed.empty());
  // Each letter is a token; 0 begins a text.
  const auto tokenize = [](const std::string& text, bool add_special_tokens) {
    std::vector<std::int32_t> ids(text.begin(), text.end());
    if (add_special_tokens) ids.insert(ids.begin(), 0);
    return ids;
  };
  auto one = parse_completion_request(R"({"prompt":["a",7,"bc",8.0]})");
  ASSERT_EQ(one.prompts.size(), 1U);
  join_mixed_prompts(one, tokenize);
  EXPECT_THAT(*one.prompts[0].token_ids(), ElementsAre(0, 'a', 7, 'b', 'c', 8));
  auto two =
      parse_completion_request(R"({"prompt":["x",[7,"a"],["b",7]],"add_special_tokens":false})");
  ASSERT_EQ(two.prompts.size(), 3U);
  join_mixed_prompts(two, tokenize);
  EXPECT_EQ(*two.prompts[0].text(), "x");
  EXPECT_THAT(*two.prompts[1].token_ids(), ElementsAre(7, 'a'));
  EXPECT_THAT(*two.prompts[2].token_ids(), ElementsAre('b', 7));
}

TEST(CompletionRequest, BadPrompts) {
  EXPECT_THAT(completion_failure("{}"), HasSubstr("prompt|missing_required_parameter|"));
  EXPECT_THAT(completion_failure(R"({"prompt":5})"),
              HasSubstr("expected string or array of token ids, got integer"));
  EXPECT_THAT(completion_failure(R"({"prompt":[]})"), HasSubstr("prompt: invalid value"));
  EXPECT_THAT(completion_failure(R"({"prompt":[[]]})"), HasSubstr("prompt[0]|"));
  EXPECT_THAT(completion_failure(R"({"prompt":["a",true]})"), HasSubstr("prompt[1]: wrong type"));
  EXPECT_THAT(completion_failure(R"({"prompt":["a",[1],2]})"), HasSubstr("prompt[2]: wrong type"));
  EXPECT_THAT(completion_failure(R"({"prompt":[1,[2]]})"), HasSubstr("prompt[1]|"));
  EXPECT_THAT(completion_failure(R"({"prompt":["a",-1]})"), HasSubstr("prompt[1]: invalid value"));
  EXPECT_THAT(completion_failure(R"({"prompt":[-1]})"), HasSubstr("got -1"));
  EXPECT_THAT(completion_failure(R"({"prompt":[1.5]})"), HasSubstr("got 1.5"));
  EXPECT_THAT(completion_failure(R"({"prompt":[99999999999]})"),
              HasSubstr("prompt[0]: invalid value (expected 0 to 2147483647, got 99999999999)"));
  EXPECT_EQ(completion_failure(R"({"prompt":[1.0,2]})"), "no error");
}

TEST(CompletionRequest, TheBodyMustBeAnObject) {
  EXPECT_THAT(completion_failure("[1]"),
              HasSubstr("request body: wrong type (expected object, got array)"));
  EXPECT_THAT(completion_failure(""), HasSubstr("request body: invalid JSON"));
  EXPECT_THAT(completion_failure("{\"prompt\":"), HasSubstr("request body: invalid JSON"));
  EXPECT_THAT(completion_failure(std::string(100000, '[')), HasSubstr("request body"));
}

TEST(CompletionRequest, SamplingFields) {
  const auto request = parse_completion_request(
      R"({"prompt":"a","temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"repetition_penalty":1.1,
          "presence_penalty":-2,"frequency_penalty":2,"logit_bias":{"5":-100,"7":1.5},"seed":-2,"n":3,"best_of":3,
          "stop":["a","b"],"stop_token_ids":[4],"ignore_eos":true,"min_tokens":2,"max_tokens":7.0,"user":"x",
          "something_new":{"a":1}})");
  const GenerateOptions& options = request.options;
  EXPECT_FLOAT_EQ(*options.temperature, 0.5F);
  EXPECT_FLOAT_EQ(*options.top_p, 0.9F);
  EXPECT_EQ(*options.top_k, 40);
  EXPECT_FLOAT_EQ(*options.min_p, 0.1F);
  EXPECT_FLOAT_EQ(*options.repetition_penalty, 1.1F);
  EXPECT_FLOAT_EQ(*options.presence_penalty, -2.0F);
  EXPECT_FLOAT_EQ(options.logit_bias.at(5), -100.0F);
  EXPECT_FLOAT_EQ(options.logit_bias.at(7), 1.5F);
  EXPECT_EQ(*options.seed, static_cast<std::uint64_t>(-2));
  EXPECT_EQ(options.n, 3);
  EXPECT_EQ(options.best_of, 3);
  EXPECT_THAT(options.stop, ElementsAre("a", "b"));
  EXPECT_THAT(options.stop_token_ids, ElementsAre(4));
  EXPECT_EQ(options.ignore_eos, true);
  EXPECT_EQ(*options.min_new_tokens, 2);
  EXPECT_EQ(*options.max_new_tokens, 7);
}

TEST(CompletionRequest, NullMeansAbsent) {
  const auto request = parse_completion_request(
      R"({"prompt":"a","temperature":null,"stop":null,"logprobs":null,"n":null,"stream":null,"suffix":null,
          "logit_bias":null,"best_of":null,"stream_options":null})");
  EXPECT_FALSE(request.options.temperature.has_value());
  EXPECT_FALSE(request.options.n.has_value());
}

struct BadField {
  const char* field;
  const char* param;
};

class BadFields : public ::testing::TestWithParam<BadField> {};

TEST_P(BadFields, AreNamed) {
  const std::string body = R"({"prompt":"a",)" + std::string(GetParam().field) + "}";
  EXPECT_EQ(completion_failure(body).substr(0, std::string(GetParam().param).size() + 1),
            std::string(GetParam().param) + "|")
      << completion_failure(body);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadFields,
    ::testing::Values(
        BadField{R"("temperature":"hot")", "temperature"},
        BadField{R"("temperature":2.1)", "temperature"},
        BadField{R"("temperature":-0.1)", "temperature"},
        BadField{R"("temperature":true)", "temperature"}, BadField{R"("top_p":1.5)", "top_p"},
        BadField{R"("max_tokens":-2)", "max_tokens"}, BadField{R"("max_tokens":1.5)", "max_tokens"},
        BadField{R"("max_tokens":"5")", "max_tokens"},
        BadField{R"("max_tokens":1e300)", "max_tokens"}, BadField{R"("n":0)", "n"},
        BadField{R"("n":129)", "n"}, BadField{R"("stop":5)", "stop"},
        BadField{R"("stop":[""])", "stop"}, BadField{R"("stop":["a",1])", "stop[1]"},
        BadField{R"("logprobs":21)", "logprobs"}, BadField{R"("logprobs":true)", "logprobs"},
        BadField{R"("echo":1)", "echo"}, BadField{R"("stream":"yes")", "stream"},
        BadField{R"("stream_options":{})", "stream_options"},
        BadField{R"("logit_bias":{"-1":1})", "logit_bias.-1"},
        BadField{R"("logit_bias":[1])", "logit_bias[0]"},
        BadField{R"("logit_bias":{"1":101})", "logit_bias.1"}, BadField{R"("model":1)", "model"},
        BadField{R"("best_of":129)", "best_of"}, BadField{R"("suffix":"end")", "suffix"},
        BadField{R"("seed":1.5)", "seed"}, BadField{R"("presence_penalty":3)", "presence_penalty"},
        BadField{R"("use_beam_search":true)", "use_beam_search"},
        BadField{R"("response_format":{"type":"json_object"})", "response_format"}));

TEST(CompletionRequest, KnownFieldsOfGenerationAreNeverIgnored) {
  for (const char* field :
       {"encoder_repetition_penalty", "encoder_no_repeat_ngram_size", "penalty_alpha",
        "guidance_scale", "decoder_start_token_id", "eos_token_id"}) {
    const std::string member = "\"" + std::string(field) + "\":7";
    const std::string expected = std::string(field) + "|unsupported_parameter|" + field;
    EXPECT_THAT(completion_failure(R"({"prompt":"a",)" + member + "}"), StartsWith(expected));
    EXPECT_THAT(chat_failure(member), StartsWith(expected));
  }
  EXPECT_EQ(completion_failure(R"({"prompt":"a","num_beams":1,"penalty_alpha":0})"), "no error");
  EXPECT_EQ(parse_completion_request(R"({"prompt":"a","max_new_tokens":5})").options.max_new_tokens,
            5);
  EXPECT_THAT(
      completion_failure(R"({"prompt":"a","logprobs":1,"clean_up_tokenization_spaces":true})"),
      StartsWith("clean_up_tokenization_spaces|unsupported_parameter|"));
  EXPECT_THAT(completion_failure(
                  R"({"prompt":"a","logprobs":1,"spaces_between_special_tokens":false,
                      "skip_special_tokens":false})"),
              StartsWith("spaces_between_special_tokens|unsupported_parameter|"));
  const GenerateOptions total =
      parse_completion_request(R"({"prompt":"a","max_length":50})").options;
  EXPECT_EQ(total.max_length, 50);
  EXPECT_EQ(total.max_new_tokens, std::nullopt);
  EXPECT_THAT(completion_failure(R"({"prompt":"a","max_tokens":5,"max_new_tokens":6})"),
              HasSubstr("given twice"));
  EXPECT_THAT(chat_failure(R"("add_special_tokens":true)"),
              StartsWith("add_special_tokens|unsupported_parameter|"));
  EXPECT_EQ(chat_failure(R"("add_special_tokens":false)"), "no error");
}

TEST(Requests, OfEqualKeysNoneWins) {
  EXPECT_THAT(completion_failure(R"({"prompt":"a","temperature":0,"temperature":1})"),
              StartsWith("temperature||temperature: given twice"));
  EXPECT_THAT(failure([] {
                parse_chat_request(R"({"messages":[{"role":"user","content":"a","role":"user"}]})");
              }),
              StartsWith("messages[0].role||"));
  EXPECT_THAT(chat_failure(R"("tools":[{"type":"function","function":{"name":"f","name":"g"}}])"),
              StartsWith("tools[0].function.name||"));
  EXPECT_THAT(completion_failure(R"({"prompt":"a",)"), StartsWith("||request body: invalid JSON"));
}

TEST(CompletionRequest, RangesNameTheBoundThatWasPassed) {
  EXPECT_THAT(completion_failure(R"({"prompt":"a","max_tokens":-2})"),
              HasSubstr("expected at least -1, got -2"));
  EXPECT_THAT(completion_failure(R"({"prompt":"a","max_tokens":2147483648})"),
              HasSubstr("expected -1 to 2147483647, got 2147483648"));
  EXPECT_THAT(
      completion_failure(R"({"prompt":"a","seed":18446744073709551615})"),
      HasSubstr("expected -9223372036854775808 to 9223372036854775807, got 18446744073709"));
  EXPECT_THAT(completion_failure(R"({"prompt":"a","n":-1e300})"), HasSubstr("expected 1 to 128"));
  const auto large = parse_completion_request(R"({"prompt":"a","seed":1000000000000000001})");
  EXPECT_EQ(*large.options.seed, 1'000'000'000'000'000'001U);
}

TEST(CompletionRequest, SeventeenStopsAreTooMany) {
  std::string stops;
  for (int i = 0; i < 17; ++i) stops += (i > 0 ? ",\"x\"" : "\"x\"");
  EXPECT_THAT(completion_failure(R"({"prompt":"a","stop":[)" + stops + "]}"),
              HasSubstr("at most 16 entries, got 17"));
}

TEST(CompletionRequest, EchoWithLogprobsWantsThePrompts) {
  auto request =
      parse_completion_request(R"({"prompt":"a","echo":true,"logprobs":2,"max_tokens":0})");
  check_logprobs(request);
  EXPECT_EQ(*request.options.prompt_logprobs, 2);
  EXPECT_EQ(*request.options.max_new_tokens, 0);
}

TEST(ChatRequest, Messages) {
  const auto request = parse_chat_request(
      R"({"messages":[{"role":"developer","content":"Be brief."},
          {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
          {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",
            "function":{"name":"f","arguments":"{\"x\": 1}"}}]},
          {"role":"tool","tool_call_id":"1","content":"2"}]})");
  ASSERT_EQ(request.messages.size(), 4U);
  EXPECT_EQ(request.messages[0].role, "developer") << "the template decides";
  EXPECT_EQ(request.messages[1].content, "a\nb");
  EXPECT_THAT(request.messages[2].extra_json, HasSubstr(R"("arguments":{"x":1})"));
  EXPECT_EQ(request.messages[3].extra_json, R"({"tool_call_id":"1"})");
  EXPECT_FALSE(request.options.max_new_tokens.has_value());
}

TEST(Requests, LabelsHaveTheirTypes) {
  const auto with = [](const std::string& members) {
    return failure([&] { parse_completion_request(R"({"prompt":"a",)" + members + "}"); });
  };
  EXPECT_EQ(with(R"("user":"me","metadata":{"a":"b","c":null})"), "no error");
  EXPECT_EQ(with(R"("user":null,"metadata":null)"), "no error");
  EXPECT_THAT(with(R"("user":5)"), HasSubstr("user: wrong type (expected string, got integer)"));
  EXPECT_THAT(with(R"("metadata":"a")"), HasSubstr("metadata: wrong type (expected object"));
  EXPECT_THAT(with(R"("metadata":{"a":1})"), HasSubstr("metadata.a: wrong type (expected string"));
  EXPECT_THAT(
      failure([] {
        parse_chat_request(R"({"messages":[{"role":"user","content":"a"}],"metadata":{"a":{}}})");
      }),
      HasSubstr("metadata.a|"));
}

TEST(ChatRequest, BadMessages) {
  const auto with = [](const std::string& messages) {
    return failure([&] { parse_chat_request(R"({"messages":)" + messages + "}"); });
  };
  EXPECT_THAT(failure([] { parse_chat_request("{}"); }),
              HasSubstr("messages|missing_required_parameter|"));
  EXPECT_THAT(with("[]"), HasSubstr("messages: invalid value"));
  EXPECT_THAT(with("\"Hi\""), HasSubstr("messages: wrong type (expected array, got string)"));
  EXPECT_THAT(with("[1]"), HasSubstr("messages[0]: wrong type (expected object, got integer)"));
  EXPECT_THAT(with(R"([{"content":"a"}])"), HasSubstr("messages[0].role|"));
  EXPECT_EQ(with(R"([{"role":"boss","content":"a"}])"), "no error") << "the template decides";
  EXPECT_THAT(with(R"([{"role":"","content":"a"}])"), HasSubstr("messages[0].role|"));
  EXPECT_THAT(with(R"([{"role":"user","content":"a","name":1}])"), HasSubstr("messages[0].name|"));
  EXPECT_THAT(with(R"([{"role":"user"}])"), HasSubstr("messages[0].content|"));
  EXPECT_THAT(with(R"([{"role":"user","content":1}])"),
              HasSubstr("messages[0].content: wrong type"));
  EXPECT_THAT(with(R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])"),
              HasSubstr("messages[0].content[0].type|unsupported_parameter|"));
  EXPECT_THAT(
      with(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}])"),
      HasSubstr("messages[0].tool_calls[0].function.arguments: invalid JSON"));
}

TEST(ChatRequest, RefusalsAreHistory) {
  const auto request = parse_chat_request(
      R"({"messages":[{"role":"assistant","refusal":null,
          "content":[{"type":"refusal","refusal":"I cannot."}]}]})");
  EXPECT_EQ(request.messages[0].content, "I cannot.");
  EXPECT_THAT(
      failure([] {
        parse_chat_request(
            R"({"messages":[{"role":"user","content":[{"type":"refusal","refusal":"x"}]}]})");
      }),
      HasSubstr("unsupported_parameter"));
}

TEST(ChatRequest, Lengths) {
  const std::string begin = R"({"messages":[{"role":"user","content":"Hi"}],)";
  EXPECT_EQ(parse_chat_request(begin + R"("max_tokens":5})").options.max_new_tokens, 5);
  EXPECT_EQ(parse_chat_request(begin + R"("max_completion_tokens":6,"max_tokens":5})")
                .options.max_new_tokens,
            6);
}

TEST(ChatRequest, Logprobs) {
  const std::string begin = R"({"messages":[{"role":"user","content":"Hi"}],)";
  EXPECT_EQ(parse_chat_request(begin + R"("logprobs":true})").options.logprobs, 0);
  EXPECT_EQ(parse_chat_request(begin + R"("logprobs":true,"top_logprobs":3})").options.logprobs, 3);
  EXPECT_FALSE(parse_chat_request(begin + R"("logprobs":false})").options.logprobs.has_value());
  EXPECT_THAT(chat_failure(R"("top_logprobs":3)"), HasSubstr("top_logprobs|"));
}

TEST(ChatRequest, ToolsAndTemplateVariables) {
  const std::string begin = R"({"messages":[{"role":"user","content":"Hi"}],)";
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  EXPECT_THAT(parse_chat_request(begin + tools + "}").options.tools_json,
              HasSubstr(R"("name":"f")"));
  EXPECT_EQ(parse_chat_request(begin + tools + R"(,"tool_choice":"none"})").options.tools_json, "");
  EXPECT_THAT(chat_failure(tools + R"(,"tool_choice":"required")"),
              HasSubstr("tool_choice|unsupported_parameter"));
  EXPECT_THAT(chat_failure(tools + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"),
              HasSubstr("tool_choice|unsupported_parameter"));
  EXPECT_THAT(chat_failure(R"("tools":[{"type":"function"}])"), HasSubstr("tools[0].function|"));
  const auto request = parse_chat_request(
      begin + R"("chat_template_kwargs":{"enable_thinking":false},"reasoning_effort":"low"})");
  EXPECT_EQ(request.options.chat_template_json,
            R"({"enable_thinking":false,"reasoning_effort":"low"})");
}

TEST(CompletionRequest, TheLengthMayBeUnlimited) {
  EXPECT_EQ(parse_completion_request(R"({"prompt":"a","max_tokens":-1})").options.max_new_tokens,
            -1);
  EXPECT_EQ(parse_completion_request(R"({"prompt":"a","n_predict":3})").options.max_new_tokens, 3);
}

/// A list of `n` times the value.
std::string list_of(const std::string& value, int n) {
  std::string list = "[" + value;
  for (int i = 1; i < n; ++i) list += "," + value;
  return list + "]";
}

TEST(CompletionRequest, PromptsAndStopsAreBounded) {
  EXPECT_EQ(completion_failure(R"({"prompt":)" + list_of("\"a\"", 1024) + "}"), "no error");
  EXPECT_THAT(completion_failure(R"({"prompt":)" + list_of("\"a\"", 1025) + "}"),
              HasSubstr("at most 1024 prompts, got 1025"));
  EXPECT_EQ(completion_failure(R"({"prompt":"a","stop":)" + list_of("\"x\"", 16) + "}"),
            "no error");
}

TEST(ChatRequest, MessagesAreBounded) {
  const std::string message = R"({"role":"user","content":"a"})";
  const auto with = [&](int n) {
    return failure([&] { parse_chat_request(R"({"messages":)" + list_of(message, n) + "}"); });
  };
  EXPECT_EQ(with(16 * 1024), "no error");
  EXPECT_THAT(with(16 * 1024 + 1), HasSubstr("at most 16384 messages, got 16385"));
}

TEST(ChatRequest, ToolCallsWithoutArgumentsHaveAnEmptyObject) {
  const auto extra = [](const std::string& arguments) {
    return parse_chat_request(
               R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f")" +
               arguments + "}}]}]}")
        .messages[0]
        .extra_json;
  };
  EXPECT_THAT(extra(R"(,"arguments":"")"), HasSubstr(R"("arguments":{})"));
  EXPECT_THAT(extra(R"(,"arguments":{"a":1})"), HasSubstr(R"("arguments":{"a":1})"));
  EXPECT_EQ(extra(""), R"({"tool_calls":[{"function":{"name":"f"}}]})");
}

TEST(ChatRequest, TopLogprobsNeedLogprobs) {
  EXPECT_THAT(chat_failure(R"("top_logprobs":1)"), StartsWith("top_logprobs|"));
  EXPECT_THAT(chat_failure(R"("logprobs":false,"top_logprobs":1)"), StartsWith("top_logprobs|"));
  EXPECT_EQ(chat_failure(R"("top_logprobs":0)"), "no error") << "asks for nothing";
  EXPECT_EQ(chat_failure(R"("logprobs":true,"top_logprobs":20)"), "no error");
  EXPECT_THAT(chat_failure(R"("logprobs":true,"top_logprobs":21)"), StartsWith("top_logprobs|"));
}

TEST(ChatRequest, AnswersAreTextAlone) {
  EXPECT_EQ(chat_failure(R"("modalities":["text"])"), "no error");
  for (const char* bad :
       {R"("modalities":["audio"])", R"("modalities":["text","audio"])", R"("modalities":[1])"})
    EXPECT_THAT(chat_failure(bad), StartsWith("modalities|unsupported_parameter|")) << bad;
}

}  // namespace
}  // namespace openllm::server
