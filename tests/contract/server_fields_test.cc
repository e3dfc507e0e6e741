// What requests ask for is done, refused by name, or told.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kIgnored = "openllm-ignored-fields";

class ServerFields : public ServerTest {
 protected:
  ~ServerFields() override { server_.reset(); }  // before the log
  Answer complete_with(const std::string& members) const {
    return complete(R"({"prompt":"Once upon a time","max_tokens":2,"temperature":0,)" + members +
                    "}");
  }
  Answer chat_with(const std::string& members) const {
    return chat(R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":2,"temperature":0,)" +
                members + "}");
  }
  /// "status param code message" of an error.
  static std::string refusal(const Answer& answer) {
    const base::Json json = answer.json();
    return std::to_string(answer.status) + " " + str(json, {"error", "param"}) + " " +
           str(json, {"error", "code"}) + " " + str(json, {"error", "message"});
  }
  Log log_;
};

TEST_F(ServerFields, UnknownOnesAreToldInAHeaderAndOnceInTheLog) {
  ServerOptions options;
  options.log = [this](const std::string& line) { log_.add(line); };
  start(options);
  for (int i = 0; i < 2; ++i) {
    const Answer answer = complete_with(R"("tomorrows_field":1,"other":null)");
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.headers.at(kIgnored), "tomorrows_field");
  }
  const Answer stream =
      chat_with(R"("stream":true,"stream_options":{"newer":1},"tomorrows_field":1)");
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.headers.at(kIgnored), "tomorrows_field, stream_options.newer");
  EXPECT_EQ(complete_with(R"("user":"me","metadata":{"a":"b"})").headers.count(kIgnored), 0U);
  EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr("tomorrows_field"), HasSubstr("newer")));
}

TEST_F(ServerFields, StrictServersRefuseUnknownOnes) {
  ServerOptions options;
  options.strict = true;
  start(options);
  EXPECT_THAT(refusal(complete_with(R"("tomorrows_field":1)")),
              HasSubstr("400 tomorrows_field unknown_parameter tomorrows_field: there is no such"));
  EXPECT_THAT(refusal(chat_with(R"("stream":true,"stream_options":{"newer":1})")),
              HasSubstr("400 stream_options.newer unknown_parameter"));
  EXPECT_EQ(complete_with(R"("user":"me")").status, 200);
}

TEST_F(ServerFields, WhatTheTemplateNeverReadsIsRefused) {
  start();
  const std::string model = llm_.id();
  for (const auto& [members, param] :
       {std::pair{R"("tools":[{"type":"function","function":{"name":"f"}}])", "tools"},
        std::pair{R"("chat_template_kwargs":{"enable_thinking":false})",
                  "chat_template_kwargs.enable_thinking"},
        std::pair{R"("reasoning_effort":"low")", "reasoning_effort"},
        std::pair{R"("documents":[{"title":"a","text":"b"}])", "documents"}}) {
    const std::string got = refusal(chat_with(members));
    EXPECT_THAT(got, HasSubstr(base::cat("400 ", param, " unsupported_parameter ")));
    EXPECT_THAT(got, HasSubstr("the chat template of " + model));
  }
  EXPECT_THAT(
      refusal(chat(R"({"messages":[{"role":"user","content":"Hi","name":"Ann"}],"max_tokens":1})")),
      HasSubstr("400 messages[0].name unsupported_parameter"));
  EXPECT_THAT(refusal(chat(R"({"messages":[{"role":"user","content":"Hi"},
                                           {"role":"assistant","content":"So","prefix":true}]})")),
              HasSubstr("400 messages[1].prefix unsupported_parameter"));
  EXPECT_EQ(chat_with(R"("tools":[],"chat_template_kwargs":{},"tool_choice":"none")").status, 200);
  EXPECT_EQ(
      chat(R"({"messages":[{"role":"ipython","content":"5","tool_call_id":"1"}],"max_tokens":1})")
          .status,
      200);
}

TEST_F(ServerFields, AMemberGivenTwiceIsRefusedWithItsPlace) {
  start();
  EXPECT_THAT(refusal(complete_with(R"("seed":1,"seed":1)")), HasSubstr("400 seed "));
  EXPECT_THAT(refusal(chat(R"({"messages":[{"role":"user","content":"a","content":"b"}]})")),
              HasSubstr("400 messages[0].content "));
}

TEST_F(ServerFields, BiasesMayNameTokensByTheirText) {
  start();
  const auto text_of = [&](const std::string& bias) {
    return str(whole_of(complete_with(R"("logit_bias":)" + bias)), {"choices", "0", "text"});
  };
  const std::vector<std::int32_t> tokens =
      llm_.tokenize("dog", {.add_special_tokens = false, .parse_special = false});
  std::string by_id = "{";
  for (const std::int32_t token : tokens)
    by_id += (by_id == "{" ? "\"" : ",\"") + std::to_string(token) + "\":20";
  const std::string expected = text_of(by_id + "}");
  EXPECT_NE(expected, text_of("{}")) << "the bias is felt";
  EXPECT_EQ(text_of(R"({"dog":20})"), expected);
  EXPECT_EQ(text_of(R"([["dog",20]])"), expected);
  EXPECT_EQ(text_of(R"([["dog",20],[2,false]])"), text_of(by_id + R"(,"2":-100})"));
  const auto native = [&](const std::string& bias) {
    return ask(post("/v1/generate", R"({"prompt":"Once","llm_config":{"temperature":0,)"
                                    R"("max_new_tokens":2,"logit_bias":)" +
                                        bias + "}}"));
  };
  EXPECT_EQ(str(whole_of(native(R"({"dog":20})")), {"outputs", "0", "text"}),
            str(whole_of(native(by_id + "}")), {"outputs", "0", "text"}));
  EXPECT_EQ(chat_with(R"("logit_bias":{"dog":20})").status, 200);

  for (const char* bad : {R"({"dog":20,"dogdog":1})", R"({"a<s>":1})", R"([["dog",1],["dog",2]])",
                          R"({"":1})", R"({"dog":true})"}) {
    EXPECT_THAT(refusal(complete_with(base::cat(R"("logit_bias":)", bad))),
                HasSubstr("400 logit_bias"))
        << bad;
  }
  EXPECT_THAT(refusal(complete_with(R"("logit_bias":{"a<s>":1})")),
              HasSubstr("400 logit_bias.a<s> "));
  EXPECT_THAT(refusal(native(R"({"a<s>":1})")), HasSubstr("400 llm_config.logit_bias.a<s> "));
}

TEST_F(ServerFields, TheServersLengthIsThatOfRequestsWithoutOne) {
  start({.max_new_tokens = 3});
  const auto n_tokens = [](const Answer& answer) {
    return str(whole_of(answer), {"usage", "completion_tokens"});
  };
  const std::string rest = R"("temperature":0,"ignore_eos":true)";
  const std::string hi = R"({"messages":[{"role":"user","content":"Hi"}],)" + rest;
  EXPECT_EQ(n_tokens(complete(R"({"prompt":"Once",)" + rest + "}")), "3");
  EXPECT_EQ(n_tokens(complete(R"({"prompt":"Once","max_tokens":5,)" + rest + "}")), "5");
  EXPECT_EQ(n_tokens(chat(hi + "}")), "3");
  EXPECT_EQ(n_tokens(chat(hi + R"(,"max_completion_tokens":5})")), "5");
  const base::Json native = whole_of(
      ask(post("/v1/generate",
               R"({"messages":[{"role":"user","content":"Hi"}],"llm_config":{)" + rest + "}}")));
  EXPECT_EQ(str(native, {"usage", "n_completion_tokens"}), "3");
  server_.reset();
  start();
  EXPECT_EQ(n_tokens(complete(R"({"prompt":"Once",)" + rest + "}")), "16") << "OpenAI's";
}

TEST_F(ServerFields, SynonymsDoTheSame) {
  start();
  const auto text = [&](const std::string& members) {
    const Answer answer = complete(R"({"prompt":"Once upon a time",)" + members + "}");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return str(answer.json(), {"choices", "0", "text"});
  };
  const std::string three = text(R"("temperature":0,"max_tokens":3)");
  for (const char* name :
       {"n_predict", "num_predict", "max_new_tokens", "max_output_tokens", "max_completion_tokens"})
    EXPECT_EQ(text(base::cat(R"("temperature":0,")", name, "\":3")), three) << name;
  const std::string seeded = text(R"("max_tokens":8,"temperature":1,"seed":7)");
  EXPECT_EQ(text(R"("max_tokens":8,"temperature":1,"sampling_seed":7)"), seeded);
}

TEST_F(ServerFields, TheLengthMinusOneGoesToTheEndOfTheContext) {
  start();
  const Answer answer =
      complete(R"({"prompt":"Once","temperature":0,"max_tokens":-1,"ignore_eos":true})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(str(answer.json(), {"usage", "total_tokens"}), std::to_string(llm_.info().max_context));
  EXPECT_EQ(str(answer.json(), {"choices", "0", "finish_reason"}), "length");
}

TEST_F(ServerFields, PromptsOfTextsAndIds) {
  start();
  const std::string members = R"(,"temperature":0,"max_tokens":4,"return_token_ids":true})";
  const std::vector<std::int32_t> ids = llm_.tokenize("Once upon", {.add_special_tokens = false});
  std::string mixed = "[" + std::to_string(1);
  for (std::size_t i = 0; i < ids.size(); ++i) mixed += "," + std::to_string(ids[i]);
  const Answer whole = complete(R"({"prompt":)" + mixed + "]" + members);
  const Answer parts = complete(R"({"prompt":[1,"Once upon"])" + members);
  ASSERT_EQ(parts.status, 200) << parts.body;
  EXPECT_EQ(str(parts.json(), {"choices", "0", "prompt_token_ids"}),
            str(whole.json(), {"choices", "0", "prompt_token_ids"}));
  EXPECT_EQ(str(parts.json(), {"choices", "0", "text"}),
            str(whole.json(), {"choices", "0", "text"}));
}

TEST_F(ServerFields, LongPromptsAreRefusedInTheWordsThatClientsKnow) {
  start();
  std::string ids = "[1";
  for (int i = 0; i < llm_.info().max_context; ++i) ids += ",5";
  EXPECT_THAT(
      refusal(complete(R"({"prompt":)" + ids + "]}")),
      HasSubstr(base::cat("context_length_exceeded prompt: too long for the context (expected "
                          "at most ",
                          llm_.info().max_context - 1)));
  EXPECT_THAT(
      refusal(complete(R"({"prompt":)" + ids + "]}")),
      HasSubstr(base::cat("maximum context length is ", llm_.info().max_context, " tokens")));
}

}  // namespace
}  // namespace openllm::contract
