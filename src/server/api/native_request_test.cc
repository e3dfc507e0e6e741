#include "server/api/native_request.h"

#include <gmock/gmock.h>

#include "server/error_map.h"

namespace openllm::server {
namespace {

using ::testing::ElementsAre;

/// The error that parsing gives, as "param|code|message".
std::string failure(const std::string& body) {
  try {
    parse_native_request(body);
  } catch (const Error& error) {
    const ErrorReport report = error_report(error);
    return report.param + "|" + report.code + "|" + report.message;
  }
  return "no error";
}

TEST(NativeRequest, Defaults) {
  const NativeRequest request = parse_native_request(R"({"prompt":"Once"})");
  EXPECT_EQ(*request.prompt.text(), "Once");
  EXPECT_EQ(request.model, "");
  EXPECT_FALSE(request.options.max_new_tokens) << "the model's";
  EXPECT_FALSE(request.options.temperature);
  EXPECT_FALSE(request.options.n.has_value());
  EXPECT_FALSE(request.options.skip_special_tokens.has_value());
  EXPECT_TRUE(request.options.add_special_tokens);
  EXPECT_EQ(request.options.request_id, "");
}

TEST(NativeRequest, EveryMember) {
  const NativeRequest request = parse_native_request(R"({
      "model":"m","prompt_token_ids":[1,2],"stop":"a","stop_token_ids":[7],"adapter_name":"lora",
      "request_id":"r","llm_config":{
      "max_new_tokens":5,"min_new_tokens":2,"temperature":3.5,"top_k":-1,"top_p":0.5,"min_p":0.25,
      "repetition_penalty":1.5,"presence_penalty":-3,"frequency_penalty":4,"seed":-2,"n":2,
      "logprobs":3,"prompt_logprobs":0,"ignore_eos":true,"skip_special_tokens":false,
      "add_special_tokens":false,"include_stop_in_output":true,"truncate_prompt":true}})");
  EXPECT_EQ(request.model, "m");
  EXPECT_THAT(*request.prompt.token_ids(), ElementsAre(1, 2));
  const GenerateOptions& options = request.options;
  EXPECT_THAT(options.stop, ElementsAre("a"));
  EXPECT_THAT(options.stop_token_ids, ElementsAre(7));
  EXPECT_EQ(options.adapter_name, "lora");
  EXPECT_EQ(options.request_id, "r");
  EXPECT_EQ(options.max_new_tokens, 5);
  EXPECT_EQ(options.min_new_tokens, 2);
  EXPECT_EQ(options.temperature, 3.5F);
  EXPECT_EQ(options.top_k, -1);
  EXPECT_EQ(options.top_p, 0.5F);
  EXPECT_EQ(options.min_p, 0.25F);
  EXPECT_EQ(options.repetition_penalty, 1.5F);
  EXPECT_EQ(options.presence_penalty, -3.0F);
  EXPECT_EQ(options.frequency_penalty, 4.0F);
  EXPECT_EQ(options.seed, ~std::uint64_t{0} - 1);
  EXPECT_EQ(options.n, 2);
  EXPECT_EQ(options.logprobs, 3);
  EXPECT_EQ(options.prompt_logprobs, 0);
  EXPECT_EQ(options.ignore_eos, true);
  EXPECT_EQ(options.skip_special_tokens, false);
  EXPECT_FALSE(options.add_special_tokens);
  EXPECT_EQ(options.include_stop_in_output, true);
  EXPECT_EQ(options.truncate_prompt, true);
}

TEST(NativeRequest, NullMeansAbsent) {
  const NativeRequest request = parse_native_request(
      R"({"prompt":"a","prompt_token_ids":null,"messages":null,"llm_config":null,"stop":null,
          "model":null,"adapter_name":null,"request_id":null,"stop_token_ids":null})");
  EXPECT_EQ(*request.prompt.text(), "a");
  EXPECT_FALSE(parse_native_request(R"({"prompt":"a","llm_config":{"top_k":null}})").options.top_k);
}

TEST(NativeRequest, MessagesAreAPrompt) {
  const NativeRequest request =
      parse_native_request(R"({"messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_NE(request.prompt.messages(), nullptr);
  EXPECT_EQ(request.prompt.messages()->at(0).content, "Hi");
}

TEST(NativeRequest, UnknownNamesAreRefused) {
  EXPECT_EQ(failure(R"({"prompt":"a","foo":null})"),
            "foo|unknown_parameter|foo: there is no such field");
  EXPECT_EQ(
      failure(R"({"prompt":"a","promt_token_ids":[1]})"),
      "promt_token_ids|unknown_parameter|promt_token_ids: there is no such field; did you mean "
      "prompt_token_ids?");
  EXPECT_EQ(failure(R"({"prompt":"a","llm_config":{"temprature":1}})"),
            "llm_config.temprature|unknown_parameter|llm_config.temprature: there is no such "
            "field; did you "
            "mean temperature?");
  EXPECT_EQ(failure(R"({"prompt":"a","llm_config":{"prompt":"b"}})").substr(0, 17),
            "llm_config.prompt");
  EXPECT_LT(failure(R"({"prompt":"a",")" + std::string(50'000, 'x') + R"(":1})").size(), 300U);
}

TEST(NativeRequest, WrongOnesNameTheMember) {
  EXPECT_EQ(failure("[]"), "||request body: wrong type (expected object, got array)");
  EXPECT_EQ(failure("{}"), "prompt|missing_required_parameter|prompt: missing, but required");
  EXPECT_EQ(failure(R"({"prompt":"a","prompt_token_ids":[1]})"),
            "prompt||prompt: invalid value (expected one of prompt, prompt_token_ids and messages, "
            "got several)");
  EXPECT_EQ(failure(R"({"prompt":["a"]})"),
            "prompt||prompt: wrong type (expected string, got array)");
  EXPECT_EQ(failure(R"({"prompt_token_ids":[]})").substr(0, 16), "prompt_token_ids");
  EXPECT_EQ(failure(R"({"prompt_token_ids":[1,-1]})").substr(0, 19), "prompt_token_ids[1]");
  EXPECT_EQ(failure(R"({"messages":[{"role":"cook"}]})").substr(0, 19), "messages[0].content");
  EXPECT_EQ(
      failure(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a","foo":1}]}]})"),
      "messages[0].content[0].foo|unknown_parameter|messages[0].content[0].foo: there is no such "
      "field");
  EXPECT_EQ(failure(R"({"prompt":"a","llm_config":[]})").substr(0, 10), "llm_config");
  for (const std::string wrong :
       {R"("temperature":-1)", R"("top_p":1.1)", R"("min_p":-0.1)", R"("top_k":1.5)", R"("n":0)",
        R"("n":129)", R"("logprobs":21)", R"("prompt_logprobs":-1)", R"("max_new_tokens":-2)",
        R"("min_new_tokens":1.5)", R"("repetition_penalty":0)", R"("presence_penalty":"1")",
        R"("frequency_penalty":true)", R"("seed":"x")", R"("ignore_eos":1)",
        R"("skip_special_tokens":0)", R"("add_special_tokens":"no")",
        R"("include_stop_in_output":1)", R"("truncate_prompt":1)"}) {
    const std::string name = wrong.substr(1, wrong.find('"', 1) - 1);
    const std::string got = failure(R"({"prompt":"a","llm_config":{)" + wrong + "}}");
    EXPECT_EQ(got.substr(0, got.find('|')), "llm_config." + name) << got;
  }
}

TEST(NativeRequest, ListsAreBounded) {
  const auto with = [](int n_stops, const std::string& config) {
    std::string stops = "\"x\"";
    for (int i = 1; i < n_stops; ++i) stops += ",\"x\"";
    return failure(R"({"prompt":"a","stop":[)" + stops + R"(],"llm_config":{)" + config + "}}");
  };
  EXPECT_EQ(with(16, R"("logprobs":20,"prompt_logprobs":20)"), "no error");
  EXPECT_EQ(with(17, ""), "stop||stop: too many (expected at most 16)");
  for (const std::string name : {"logprobs", "prompt_logprobs"}) {
    EXPECT_EQ(with(1, "\"" + name + "\":21").substr(0, 12 + name.size()),
              "llm_config." + name + "|");
  }
}

}  // namespace
}  // namespace openllm::server
