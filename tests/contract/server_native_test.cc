// The native routes: /v1/generate and /v1/generate_stream.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kNative =
    R"({"prompt":"Once upon a time","llm_config":{"temperature":0,"max_new_tokens":20})";

class ServerNative : public ServerTest {
 protected:
  Answer generate(const std::string& body) const { return ask(post("/v1/generate", body)); }
  Answer stream(const std::string& body) const { return ask(post("/v1/generate_stream", body)); }
  /// The answer to a prompt with these further members.
  Answer with(const std::string& members) const {
    return generate(R"({"prompt":"Once upon a time",)" + members + "}");
  }
  /// The same with members of `llm_config`.
  Answer configured(const std::string& members) const {
    return with(R"("llm_config":{"temperature":0,"max_new_tokens":8,)" + members + "}");
  }
};

std::string text_of(const Answer& answer) { return str(answer.json(), {"outputs", "0", "text"}); }

TEST_F(ServerNative, AnswersAsTheLibraryDoes) {
  start();
  const Answer answer = generate(std::string(kNative) + R"(,"request_id":"mine"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  const GenerateOptions options{
      .max_new_tokens = 20, .temperature = 0.0F, .request_id = std::string("mine")};
  GenerationOutput expected = llm_.generate("Once upon a time", options);
  base::Json json = answer.json();
  base::Json wanted = base::Json::parse(to_json(expected), "expected");
  // The second one finds the first one's prefix, and takes its own time.
  for (const char* name : {"n_cached_tokens", "usage", "timing"}) json[name] = wanted[name];
  EXPECT_EQ(json.dump(), wanted.dump());
  EXPECT_EQ(str(json, {"finished"}), "true");
  EXPECT_EQ(str(json, {"outputs", "0", "finish_reason"}), "length");
  EXPECT_THAT(str(generate(std::string(kNative) + "}").json(), {"request_id"}),
              StartsWith("openllm-"));
}

TEST_F(ServerNative, StreamsWhatIsNew) {
  start();
  const GenerationOutput expected =
      llm_.generate("Once upon a time", {.max_new_tokens = 20, .temperature = 0.0F});
  const Answer answer = stream(std::string(kNative) + R"(,"request_id":"mine"})");
  EXPECT_THAT(answer.headers.at("content-type"), StartsWith("text/event-stream"));
  const std::vector<std::string> all = events(answer.body);
  ASSERT_GE(all.size(), 2U);
  EXPECT_EQ(all.back(), "[DONE]");
  std::string text;
  std::vector<std::string> ids;
  int n_ends = 0;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    const base::Json json = base::Json::parse(all[i], "event");
    const bool is_last = i + 2 == all.size();
    EXPECT_EQ(str(json, {"request_id"}), "mine");
    EXPECT_EQ(str(json, {"prompt"}), i == 0 ? "Once upon a time" : "");
    EXPECT_EQ(json.find("prompt_token_ids")->is_null(), i != 0);
    EXPECT_EQ(str(json, {"finished"}), is_last ? "true" : "false");
    text += str(json, {"outputs", "0", "text"});
    for (const base::Json& id :
         *json.find("outputs")->if_array()->at(0).find("token_ids")->if_array())
      ids.push_back(id.dump());
    n_ends += str(json, {"outputs", "0", "finish_reason"}) == "null" ? 0 : 1;
    if (!is_last) continue;
    EXPECT_EQ(str(json, {"outputs", "0", "finish_reason"}), "length");
    EXPECT_EQ(str(json, {"outputs", "0", "cumulative_logprob"}),
              base::Json(expected.outputs[0].cumulative_logprob).dump());
  }
  EXPECT_EQ(text, expected.outputs[0].text);
  EXPECT_EQ(ids.size(), expected.outputs[0].token_ids.size());
  EXPECT_EQ(n_ends, 1);
}

TEST_F(ServerNative, EachChoiceEndsOnceAndTheLastEventFinishes) {
  start();
  const Answer answer =
      stream(R"({"prompt":"Once","llm_config":{"n":4,"seed":3,"max_new_tokens":60},"stop":["."]})");
  const std::vector<std::string> all = events(answer.body);
  std::vector<std::string> reasons(4);
  std::vector<std::string> texts(4);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    const base::Json json = base::Json::parse(all[i], "event");
    EXPECT_EQ(str(json, {"finished"}), i + 2 == all.size() ? "true" : "false");
    for (const base::Json& chunk : *json.find("outputs")->if_array()) {
      const std::size_t index = std::stoul(str(chunk, {"index"}));
      EXPECT_EQ(reasons[index], "") << "it had ended";
      texts[index] += str(chunk, {"text"});
      if (!chunk.find("finish_reason")->is_null()) reasons[index] = str(chunk, {"finish_reason"});
    }
  }
  GenerateOptions options{.max_new_tokens = 60, .seed = 3, .n = 4};
  options.stop = std::vector<std::string>{"."};
  const GenerationOutput expected = llm_.generate("Once", options);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(texts[i], expected.outputs[i].text);
    EXPECT_EQ(reasons[i], to_string(*expected.outputs[i].finish_reason));
  }
}

TEST_F(ServerNative, ThreeKindsOfPrompts) {
  start();
  const std::string config = R"("llm_config":{"temperature":0,"max_new_tokens":8}})";
  const GenerateOptions options{.max_new_tokens = 8, .temperature = 0.0F};
  EXPECT_EQ(text_of(generate(R"({"prompt_token_ids":[1,403,407],)" + config)),
            llm_.generate(std::vector<std::int32_t>{1, 403, 407}, options).outputs[0].text);
  const std::vector<Message> messages{{.role = "user", .content = "Hi"}};
  const Answer chatted = generate(R"({"messages":[{"role":"user","content":"Hi"}],)" + config);
  EXPECT_EQ(text_of(chatted), llm_.chat(messages, options).outputs[0].text);
  EXPECT_EQ(str(chatted.json(), {"prompt"}), "user: Hi\nassistant: ");
  const LoadOptions load{.n_threads = 1};
  llm_ = LLM(OPENLLM_TEST_DATA "/stories260K/hf", load);
  start();
  const Answer no_template = generate(R"({"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(no_template.status, 400);
  EXPECT_EQ(str(no_template.json(), {"error", "code"}), "chat_template_missing");
}

TEST_F(ServerNative, EveryFieldHasItsEffect) {
  start();
  const std::string plain = text_of(configured(R"("n":1)"));
  EXPECT_EQ(configured(R"("n":3)").json().find("outputs")->if_array()->size(), 3U);
  const std::string longer = R"("llm_config":{"temperature":0,"max_new_tokens":60)";
  for (const std::string penalty :
       {R"("presence_penalty":5)", R"("frequency_penalty":5)", R"("repetition_penalty":1.9)"}) {
    EXPECT_NE(text_of(with(longer + "," + penalty + "}")), text_of(with(longer + "}"))) << penalty;
  }
  const base::Json scored = configured(R"("logprobs":2,"prompt_logprobs":1)").json();
  const base::Json top =
      base::Json::parse(str(scored, {"outputs", "0", "logprobs", "0"}), "logprobs");
  EXPECT_EQ(top.if_object()->size(), 2U);
  EXPECT_EQ(str(scored, {"prompt_logprobs", "0"}), "null");
  EXPECT_TRUE(scored.find("prompt_logprobs")->if_array()->at(1).is_object());
  const std::string seeded = R"("llm_config":{"max_new_tokens":12,"temperature":1.5,"seed":)";
  EXPECT_EQ(text_of(with(seeded + "7}")), text_of(with(seeded + "7}")));
  EXPECT_NE(text_of(with(seeded + "7}")), text_of(with(seeded + "8}")));
  EXPECT_EQ(text_of(with(seeded + R"(9,"top_k":1})")), text_of(with(seeded + R"(4,"top_p":0})")));
  EXPECT_EQ(text_of(with(seeded + R"(9,"min_p":1})")), text_of(with(seeded + R"(9,"top_k":1})")));
  EXPECT_EQ(str(configured(R"("add_special_tokens":false)").json(), {"prompt_token_ids", "0"}),
            str(configured(R"("n":1)").json(), {"prompt_token_ids", "1"}));

  const std::string stop = plain.substr(2, 3);
  const Answer stopped = with(R"("llm_config":{"temperature":0},"stop":")" + stop + "\"");
  EXPECT_EQ(text_of(stopped), plain.substr(0, plain.find(stop)));
  EXPECT_EQ(str(stopped.json(), {"outputs", "0", "finish_reason"}), "stop");
  const Answer kept = with(
      R"("llm_config":{"temperature":0,"include_stop_in_output":true},"stop":[")" + stop + "\"]");
  EXPECT_EQ(text_of(kept), plain.substr(0, plain.find(stop) + stop.size()));

  const std::string first = str(configured(R"("n":1)").json(), {"outputs", "0", "token_ids", "0"});
  const std::string ids = R"("stop_token_ids":[)" + first + "]";
  EXPECT_EQ(str(with(R"("llm_config":{"temperature":0},)" + ids).json(),
                {"outputs", "0", "finish_reason"}),
            "stop");
  const Answer later =
      with(R"("llm_config":{"temperature":0,"max_new_tokens":6,"min_new_tokens":4},)" + ids);
  EXPECT_NE(str(later.json(), {"outputs", "0", "token_ids", "3"}), "(absent)");
}

TEST_F(ServerNative, ALongPromptIsCutOnlyWhenAskedFor) {
  start();
  std::string words = "Once";
  for (int i = 0; i < 3000; ++i) words += " upon";
  const std::string body = R"({"prompt":")" + words + R"(","llm_config":{"max_new_tokens":2)";
  const Answer refused = generate(body + "}}");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(str(refused.json(), {"error", "code"}), "context_length_exceeded");
  EXPECT_EQ(generate(body + R"(,"truncate_prompt":true}})").status, 200);
}

TEST_F(ServerNative, SequencesEndUnlessTheyAreToGoOn) {
  LoadOptions load;
  load.config = LLMConfig{.eos_token_ids = {1}};  // stands between the stories
  llm_ = make_llm(load);
  start();
  const std::string many = R"("llm_config":{"seed":1,"n":16,"max_new_tokens":300)";
  const auto count = [](const Answer& answer, const std::string& text) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = answer.body.find(text, at)) != std::string::npos; ++at) ++n;
    return n;
  };
  const Answer ended = with(many + "}");
  EXPECT_GT(count(ended, R"("finish_reason":"stop")"), 3U);
  EXPECT_EQ(count(ended, "<s>"), 0U);
  const Answer ignored = with(many + R"(,"ignore_eos":true})");
  EXPECT_EQ(count(ignored, R"("finish_reason":"length")"), 16U);
  EXPECT_EQ(count(ignored, "<s>"), 0U);
  EXPECT_GT(count(with(many + R"(,"ignore_eos":true,"skip_special_tokens":false})"), "<s>"), 3U);
}

TEST_F(ServerNative, WrongRequestsNameTheField) {
  start();
  const auto check = [](const Answer& answer, int status, const std::string& param,
                        const std::string& code) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(str(answer.json(), {"error", "param"}), param) << answer.body;
    EXPECT_EQ(str(answer.json(), {"error", "code"}), code) << answer.body;
  };
  check(with(R"("max_tokens":5)"), 400, "max_tokens", "unknown_parameter");
  check(with(R"("stream":true)"), 400, "stream", "unknown_parameter");
  check(configured(R"("penalty_alpha":4)"), 400, "llm_config.penalty_alpha",
        "unsupported_parameter");
  check(configured(R"("num_beans":4)"), 400, "llm_config.num_beans", "unknown_parameter");
  EXPECT_EQ(configured(R"("num_beams":1)").status, 200) << "asks for nothing else";
  check(configured(R"("n":0)"), 400, "llm_config.n", "null");
  check(configured(R"("min_tokens":1,"min_length":9)"), 400, "llm_config.min_length", "null");
  check(configured(R"("tools":[{"type":"function"}])"), 400, "llm_config.tools_json", "null");
  check(generate("{}"), 400, "prompt", "missing_required_parameter");
  check(with(R"("adapter_name":"a")"), 404, "adapter_name", "null");
  EXPECT_THAT(with(R"("adapter_name":"a")").body, HasSubstr("adapter_name: no adapter"));
  check(with(R"("model":"gpt-5")"), 404, "model", "model_not_found");
  check(generate(R"({"prompt_token_ids":[100000]})"), 400, "prompt", "null");
  check(stream(R"({"prompt":"a","stop":[""]})"), 400, "stop", "null");
  check(ask(get("/v1/generate")), 405, "null", "method_not_allowed");
  EXPECT_THAT(ask(post("/generate", "{}")).body, HasSubstr("did you mean /v1/generate?"));
}

TEST_F(ServerNative, AnErrorWithinAStreamIsItsLastEvent) {
  ServerOptions options;
  options.shutdown_timeout_s = 0;
  start(options);
  Probe probe(port());
  const std::string config = R"("llm_config":{"max_new_tokens":100000,"ignore_eos":true,"n":128}})";
  probe.send(post("/v1/generate_stream", R"({"prompt":"Once",)" + config));
  ASSERT_TRUE(probe.read_until("data: "));
  server_->stop();
  const std::vector<std::string> all = events(probe.read_answer().body);
  EXPECT_THAT(all.back(), StartsWith(R"({"error":{"message":"server: is shutting down")"));
}

TEST_F(ServerNative, ADisconnectEndsTheRequest) {
  start();
  {
    Probe probe(port());
    const std::string config =
        R"("llm_config":{"max_new_tokens":100000,"ignore_eos":true,"n":128}})";
    probe.send(post("/v1/generate_stream", R"({"prompt":"Once",)" + config));
    ASSERT_TRUE(probe.read_until("data: "));
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
}

TEST_F(ServerNative, KeysAreWanted) {
  ServerOptions options;
  options.api_keys = {"secret"};
  start(options);
  EXPECT_EQ(generate(std::string(kNative) + "}").status, 401);
  EXPECT_EQ(ask(post("/v1/generate_stream", std::string(kNative) + "}")).status, 401);
  EXPECT_EQ(
      ask(post("/v1/generate", std::string(kNative) + "}", "Authorization: Bearer secret\r\n"))
          .status,
      200);
}

TEST_F(ServerNative, EventsOfStreamsHaveTokens) {
  // OpenLLM's clients take the first token of the first choice of every event.
  start();
  for (int i = 0; i < 20; ++i) {
    for (const base::Json& event : chunks_of(stream(std::string(kNative) + "}"))) {
      const base::JsonArray& outputs = *event.find("outputs")->if_array();
      ASSERT_FALSE(outputs.empty());
      EXPECT_FALSE(outputs[0].find("token_ids")->if_array()->empty());
    }
  }
}

TEST_F(ServerNative, MetadataIsWhatOpenLlmClientsAskFor) {
  start();
  for (const std::string& request :
       {get("/v1/metadata"), post("/v1/metadata", ""), post("/v1/metadata", "{}"),
        post("/v1/metadata", R"({"model":"hf"})")}) {
    const base::Json metadata = whole_of(ask(request));
    EXPECT_EQ(*metadata.find("model_id")->if_string(), llm_.id());
    EXPECT_EQ(*metadata.find("model_name")->if_string(), llm_.llm_type());
    EXPECT_EQ(*metadata.find("backend")->if_string(), "native");
    EXPECT_TRUE(metadata.find("timeout")->is_int());
  }
  EXPECT_EQ(ask(post("/v1/metadata", R"({"modle":"x"})")).status, 400);
  EXPECT_EQ(ask(post("/v1/metadata", R"({"model":"x"})")).status, 404);
  // Clients send the whole configuration back.
  const base::Json metadata = whole_of(ask(get("/v1/metadata")));
  const base::Json configuration =
      base::Json::parse(*metadata.find("configuration")->if_string(), "configuration");
  const base::Json& config = *configuration.find("generation_config");
  EXPECT_EQ(*config.find("max_new_tokens")->if_int(), 128) << "of its family";
  EXPECT_EQ(config.find("stop"), nullptr) << "it stands beside llm_config";
  EXPECT_EQ(generate(R"({"prompt":"Once","llm_config":)" + config.dump() + "}").status, 200);
}

TEST_F(ServerNative, MessagesBecomeThePromptOfTheTemplate) {
  start();
  const auto prompt = [&](const std::string& more) {
    const Answer answer = ask(post("/v1/helpers/messages",
                                   R"({"messages":[{"role":"user","content":"Hi"}])" + more + "}"));
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.headers.at("content-type"), "text/plain; charset=utf-8");
    return answer.body;
  };
  EXPECT_EQ(prompt(""), "user: Hi\n");
  EXPECT_EQ(prompt(R"(,"add_generation_prompt":true)"), "user: Hi\nassistant: ");
  EXPECT_EQ(ask(post("/v1/helpers/messages", "{}")).status, 400);
  EXPECT_THAT(ask(post("/v1/helpers/messages", R"({"messages":[],"x":1})")).body,
              HasSubstr("x: there is no such field"));
}

TEST_F(ServerNative, NoAdapterIsMounted) {
  start();
  EXPECT_EQ(ask(get("/v1/adapters")).body, "{}");
  EXPECT_EQ(ask(get("/hf/adapters")).body, "{}");
}

TEST_F(ServerNative, RoutesThatAreGoneNameWhatIsInTheirPlace) {
  start();
  const Answer agent = ask(post("/hf/agent", "{}"));
  EXPECT_EQ(agent.status, 404);
  EXPECT_THAT(agent.body, HasSubstr("/v1/generate is in its place"));
  EXPECT_THAT(ask(post("/cohere/v1/chat", "{}")).body, HasSubstr("/v1/chat/completions"));
}

}  // namespace
}  // namespace openllm::contract
