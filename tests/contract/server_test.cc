// The HTTP contract of the server: the API.

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <ctime>
#include <functional>
#include <memory>

#include "base/error.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

TEST_F(ServerTest, HealthModelsVersionMetrics) {
  start();
  EXPECT_EQ(ask(get("/healthz")).status, 200);
  EXPECT_EQ(ask(get("/livez")).status, 200);
  EXPECT_EQ(str(ask(get("/readyz")).json(), {"status"}), "ready");
  EXPECT_EQ(ask(get("/version")).status, 200);
  const base::Json list = ask(get("/v1/models")).json();
  EXPECT_EQ(str(list, {"object"}), "list");
  const std::string id = str(list, {"data", "0", "id"});
  EXPECT_EQ(id, llm_.id());
  EXPECT_EQ(str(ask(get("/v1/models/" + id)).json(), {"object"}), "model");
  const Answer missing = ask(get("/v1/models/no/such%2Fmodel"));
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(str(missing.json(), {"error", "code"}), "model_not_found");
  const Answer metrics = ask(get("/metrics"));
  EXPECT_THAT(metrics.body, HasSubstr("openllm_ready 1\n"));
  EXPECT_THAT(metrics.body,
              HasSubstr("openllm_http_requests_total{route=\"/v1/models/\",status=\"404\"} 1\n"));
}

TEST_F(ServerTest, CompletionEqualsTheLibrary) {
  start();
  const Answer answer = complete(std::string(kGreedy) + "}");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const base::Json json = answer.json();
  EXPECT_THAT(str(json, {"id"}), StartsWith("cmpl-"));
  const Answer named = complete(std::string(kGreedy) + R"(,"request_id":"mine"})");
  EXPECT_EQ(str(named.json(), {"id"}), "cmpl-mine");
  EXPECT_EQ(str(json, {"object"}), "text_completion");
  EXPECT_EQ(str(json, {"model"}), llm_.id());
  EXPECT_EQ(str(json, {"choices", "0", "finish_reason"}), "length");
  EXPECT_EQ(str(json, {"usage", "completion_tokens"}), "20");
  GenerateOptions options;
  options.temperature = 0.0F;
  options.max_new_tokens = 20;
  const GenerationOutput expected = llm_.generate("Once upon a time", options);
  EXPECT_EQ(str(json, {"choices", "0", "text"}), expected.outputs[0].text);
  EXPECT_EQ(str(json, {"usage", "prompt_tokens"}),
            std::to_string(expected.prompt_token_ids->size()));
}

TEST_F(ServerTest, StreamsAddUpToTheWholeAnswer) {
  start();
  const std::string whole =
      str(complete(std::string(kGreedy) + "}").json(), {"choices", "0", "text"});
  const Answer answer =
      complete(std::string(kGreedy) + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_THAT(answer.headers.at("content-type"), StartsWith("text/event-stream"));
  std::string text;
  std::string finish;
  const auto all = events(answer.body);
  ASSERT_GE(all.size(), 3U);
  EXPECT_EQ(all.back(), "[DONE]");
  for (std::size_t i = 0; i + 2 < all.size(); ++i) {
    const base::Json json = base::Json::parse(all[i], "event");
    text += str(json, {"choices", "0", "text"});
    finish = str(json, {"choices", "0", "finish_reason"});
    EXPECT_EQ(str(json, {"usage"}), "null");
  }
  EXPECT_EQ(text, whole);
  EXPECT_EQ(finish, "length");
  const base::Json usage = base::Json::parse(all[all.size() - 2], "event");
  EXPECT_EQ(str(usage, {"choices"}), "[]");
  EXPECT_EQ(str(usage, {"usage", "completion_tokens"}), "20");
}

TEST_F(ServerTest, ManyPromptsAndChoicesAreNumberedThrough) {
  start();
  const Answer answer =
      complete(R"({"prompt":["Once","One day"],"n":2,"temperature":0,"max_tokens":4})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const base::Json json = answer.json();
  ASSERT_EQ(json.find("choices")->if_array()->size(), 4U);
  for (const char* i : {"0", "1", "2", "3"}) EXPECT_EQ(str(json, {"choices", i, "index"}), i);
  EXPECT_EQ(str(json, {"choices", "0", "text"}), str(json, {"choices", "1", "text"}));
  EXPECT_EQ(str(json, {"usage", "completion_tokens"}), "16");
}

TEST_F(ServerTest, TokenIdsEchoAndLogprobs) {
  start();
  const Answer answer = complete(
      R"({"prompt":[1,403,407],"echo":true,"logprobs":2,"max_tokens":2,"temperature":0,"return_token_ids":true})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const base::Json json = answer.json();
  const base::Json& logprobs = *json.find("choices")->if_array()->at(0).find("logprobs");
  EXPECT_EQ(logprobs.find("tokens")->if_array()->size(), 5U);
  EXPECT_EQ(logprobs.find("text_offset")->if_array()->size(), 5U);
  EXPECT_TRUE(logprobs.find("token_logprobs")->if_array()->at(0).is_null());
  EXPECT_TRUE(logprobs.find("token_logprobs")->if_array()->at(1).is_number());
  EXPECT_GE(logprobs.find("top_logprobs")->if_array()->at(1).if_object()->size(), 2U);
  EXPECT_EQ(str(json, {"choices", "0", "prompt_token_ids"}), "[1,403,407]");
  EXPECT_EQ(str(json, {"choices", "0", "text"}).substr(0, 9), "Once upon");
  EXPECT_EQ(logprobs.find("text_offset")->if_array()->at(2).dump(), "4");  // " upon"
  const Answer single =
      complete(R"({"prompt":[1],"echo":true,"logprobs":1,"max_tokens":2,"temperature":0})");
  EXPECT_EQ(str(single.json(), {"choices", "0", "logprobs", "token_logprobs", "0"}), "null");
  EXPECT_EQ(str(single.json(), {"choices", "0", "logprobs", "tokens", "0"}), "<s>");
  const Answer scored = complete(R"({"prompt":"Once","echo":true,"logprobs":0,"max_tokens":0})");
  ASSERT_EQ(scored.status, 200) << scored.body;
  EXPECT_EQ(str(scored.json(), {"choices", "0", "text"}), "Once");
  EXPECT_EQ(str(scored.json(), {"usage", "completion_tokens"}), "0");
}

TEST_F(ServerTest, AnAnswerThatItsTimeoutCutsIsLate) {
  start();
  const Answer late = complete(
      R"({"prompt":"Once","temperature":0,"max_tokens":400,"ignore_eos":true,"timeout":0.001})");
  EXPECT_EQ(late.status, 504) << late.body;
  EXPECT_EQ(str(late.json(), {"error", "code"}), "deadline_exceeded");
}

TEST_F(ServerTest, ChatWholeAndStreamed) {
  start();
  const Answer whole = chat(std::string(kHi) + R"(,"logprobs":true,"top_logprobs":2})");
  ASSERT_EQ(whole.status, 200) << whole.body;
  const base::Json json = whole.json();
  EXPECT_THAT(str(json, {"id"}), StartsWith("chatcmpl-"));
  EXPECT_EQ(str(json, {"object"}), "chat.completion");
  EXPECT_EQ(str(json, {"choices", "0", "message", "role"}), "assistant");
  const base::Json& content =
      *json.find("choices")->if_array()->at(0).find("logprobs")->find("content");
  EXPECT_EQ(std::to_string(content.if_array()->size()), str(json, {"usage", "completion_tokens"}));
  EXPECT_EQ(content.if_array()->at(0).find("top_logprobs")->if_array()->size(), 2U);

  const auto all = events(chat(std::string(kHi) + R"(,"stream":true})").body);
  ASSERT_GE(all.size(), 3U);
  EXPECT_EQ(str(base::Json::parse(all[0], "event"), {"choices", "0", "delta", "role"}),
            "assistant");
  std::string text;
  for (std::size_t i = 1; i + 2 < all.size(); ++i) {
    text += str(base::Json::parse(all[i], "event"), {"choices", "0", "delta", "content"});
  }
  EXPECT_EQ(text, str(json, {"choices", "0", "message", "content"}));
  EXPECT_EQ(str(base::Json::parse(all[all.size() - 2], "event"), {"choices", "0", "delta"}), "{}");
  EXPECT_EQ(all.back(), "[DONE]");
}

TEST_F(ServerTest, ErrorsHaveOpenAisShape) {
  start();
  const auto check = [](const Answer& answer, int status, const std::string& param) {
    EXPECT_EQ(answer.status, status) << answer.body;
    const base::Json json = answer.json();
    EXPECT_FALSE(str(json, {"error", "message"}).empty());
    EXPECT_EQ(str(json, {"error", "param"}), param);
    EXPECT_NE(json.find("error")->find("code"), nullptr);
    EXPECT_NE(json.find("error")->find("type"), nullptr);
  };
  check(complete("{"), 400, "null");
  check(complete(R"({"prompt":"a","temperature":"x"})"), 400, "temperature");
  check(complete(R"({"prompt":"a","model":"gpt-5"})"), 404, "model");
  check(complete(R"({"prompt":"a","stream":true,"n":0})"), 400, "n");
  check(complete(R"({"prompt":[100000]})"), 400, "prompt");
  check(complete(R"({"prompt":"a","logit_bias":{"100000":1}})"), 400, "logit_bias");
  check(ask(get("/nowhere")), 404, "null");
  EXPECT_THAT(ask(post("/chat/completions", "{}")).body,
              HasSubstr("(got POST /chat/completions); did you mean /v1/chat/completions?"));
  EXPECT_LT(ask(get("/" + std::string(50'000, 'a'))).body.size(), 1000U);
  EXPECT_LT(complete(R"({"prompt":"a","model":")" + std::string(50'000, 'a') + "\"}").body.size(),
            1000U);
  const Answer wrong = ask(get("/v1/completions"));
  check(wrong, 405, "null");
  EXPECT_EQ(wrong.headers.at("allow"), "POST, OPTIONS");
  std::string words = "Once";
  for (int i = 0; i < 3000; ++i) words += " upon";
  const Answer too_long = complete(R"({"stream":true,"prompt":")" + words + "\"}");
  check(too_long, 400, "prompt");
  EXPECT_EQ(str(too_long.json(), {"error", "code"}), "context_length_exceeded");
}

TEST_F(ServerTest, AStreamBeginsOnlyWhenEveryPromptIsAccepted) {
  start();
  std::string words;  // a prompt that fits; enough of them for the first to be answered meanwhile
  for (int i = 0; i < 400; ++i) words += " upon";
  std::string prompts = R"("Once")";
  for (int i = 0; i < 600; ++i) prompts += ",\"" + words + "\"";
  const std::string stream = R"(,"stream":true,"max_tokens":4})";
  const Answer wrong_id = complete(R"({"prompt":[)" + prompts + ",[100000]]" + stream);
  EXPECT_EQ(wrong_id.status, 400) << wrong_id.body.substr(0, 300);
  const Answer too_long =
      complete(R"({"prompt":[)" + prompts + ",\"" + words + words + "\"]" + stream);
  EXPECT_EQ(too_long.status, 400) << too_long.body.substr(0, 300);
  EXPECT_EQ(str(too_long.json(), {"error", "code"}), "context_length_exceeded");
  EXPECT_TRUE(eventually([&] { return is_idle(); })) << "the accepted ones are cancelled";
  const Answer good = complete(R"({"prompt":["Once","One day"],"n":2)" + stream);
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(events(good.body).back(), "[DONE]");
}

TEST_F(ServerTest, DisconnectsFreeTheRequest) {
  ServerOptions options;
  options.shutdown_timeout_s = 0;  // should the requests go on, the test ends all the same
  start(options);
  const std::string endless = R"({"prompt":"Once","max_tokens":100000,"ignore_eos":true,"n":128)";
  const auto runs = [&] { return llm_.stats().n_running > 0; };
  {
    Probe probe(port());
    probe.send(post("/v1/completions", endless + R"(,"stream":true})"));
    EXPECT_TRUE(probe.read_until("data: "));
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  {
    Probe probe(port());
    probe.send(post("/v1/completions", endless + "}"));
    EXPECT_TRUE(eventually(runs));
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  const EngineStats stats = llm_.stats();
  EXPECT_EQ(stats.n_blocks_free, stats.n_blocks_total);
  std::string metrics;
  EXPECT_TRUE(eventually([&] {  // they count as something
    metrics = ask(get("/metrics")).body;
    return metrics.find(R"({route="/v1/completions",status="499"} 2)") != std::string::npos ||
           metrics.find(R"({route="/v1/completions",status="200"})") != std::string::npos;
  }));
  EXPECT_THAT(metrics, HasSubstr(R"({route="/v1/completions",status="499"} 2)"));
  EXPECT_THAT(metrics, HasSubstr("openllm_http_disconnects_total 2\n"));
}

TEST_F(ServerTest, KeysAreWanted) {
  ServerOptions options;
  options.api_keys = {"secret", "other"};
  start(options);
  const Answer refused = ask(get("/v1/models"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.headers.at("www-authenticate"), "Bearer");
  EXPECT_EQ(str(refused.json(), {"error", "code"}), "invalid_api_key");
  EXPECT_EQ(ask(get("/v1/models", "Authorization: Bearer secre\r\n")).status, 401);
  EXPECT_EQ(ask(get("/v1/models", "Authorization: Bearer \r\n")).status, 401);
  EXPECT_EQ(ask(get("/nowhere")).status, 401);
  EXPECT_EQ(ask(get("/v1/models", "Authorization: Bearer other\r\n")).status, 200);
  EXPECT_EQ(ask(get("/healthz")).status, 200);
}

TEST_F(ServerTest, Aliases) {
  ServerOptions options;
  options.model_aliases = {"gpt"};
  start(options);
  EXPECT_EQ(str(complete(std::string(kGreedy) + R"(,"model":"gpt"})").json(), {"model"}), "gpt");
  EXPECT_EQ(ask(get("/v1/models/gpt")).status, 200);
}

TEST_F(ServerTest, StopLetsAnswersFinish) {
  start();
  Probe probe(port());
  probe.send(post("/v1/completions",
                  R"({"prompt":"Once","max_tokens":100,"ignore_eos":true,"stream":true})"));
  ASSERT_TRUE(probe.read_until("data: "));
  server_->stop();
  EXPECT_TRUE(probe.read_until("[DONE]"));
  EXPECT_TRUE(probe.is_closed_by_server());
}

TEST_F(ServerTest, StopCancelsWhatTakesTooLong) {
  ServerOptions options;
  options.shutdown_timeout_s = 0;
  start(options);
  Probe stream(port());
  const std::string endless = R"({"prompt":"Once","max_tokens":100000,"ignore_eos":true,"n":128)";
  stream.send(post("/v1/completions", endless + R"(,"stream":true})"));
  ASSERT_TRUE(stream.read_until("data: "));
  Probe whole(port());
  whole.send(post("/v1/completions", endless + "}"));
  Probe idle(port());
  idle.send(get("/healthz"));
  EXPECT_EQ(idle.read_answer().status, 200);
  ASSERT_TRUE(eventually([&] { return llm_.stats().n_requests >= 2; }));
  server_->stop();
  const std::string body = stream.read_answer().body;
  EXPECT_THAT(body, HasSubstr("\"error\":"));
  EXPECT_EQ(body.find("[DONE]"), std::string::npos);
  const Answer cut = whole.read_answer();
  EXPECT_EQ(cut.status, 503);
  EXPECT_EQ(cut.headers.at("connection"), "close");
  EXPECT_GE(std::stoi(cut.headers.at("retry-after")), 1);
  EXPECT_TRUE(idle.is_closed_by_server());
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
}

TEST_F(ServerTest, AModelIsAsOldAsItsFiles) {
  const auto gate = std::make_shared<Gate>();
  LoadOptions load;
  load.progress = [gate](const std::string&, double) { gate->pass(); };
  llm_ = make_llm(load);
  const std::int64_t before = std::time(nullptr);
  start_loading();
  const auto created = [&]() -> std::int64_t {
    return std::stoll(str(ask(get("/v1/models")).json(), {"data", "0", "created"}));
  };
  EXPECT_GE(created(), before) << "the server's";
  gate->release();
  server_->wait_until_ready();
  struct stat folder {};
  ASSERT_EQ(::stat(llm_.info().path.c_str(), &folder), 0);
  EXPECT_EQ(created(), folder.st_mtime);
}

TEST_F(ServerTest, AFullQueueIsToldWithATimeToWait) {
  LoadOptions load;
  load.n_threads = 1;
  load.max_sequences = 1;
  load.max_queue = 40;
  llm_ = LLM(OPENLLM_TEST_DATA "/stories260K/hf", load);
  start();
  const std::string endless = R"(,"max_tokens":400,"ignore_eos":true})";
  const auto expect_full = [](const Answer& full) {
    ASSERT_EQ(full.status, 429) << full.body;
    EXPECT_GE(std::stoi(full.headers.at("retry-after")), 1);
    EXPECT_EQ(str(full.json(), {"error", "code"}), "rate_limit_exceeded");
    EXPECT_EQ(str(full.json(), {"error", "type"}), "rate_limit_error");
  };
  std::string prompts = "\"Once\"";
  for (int i = 0; i < 63; ++i) prompts += ",\"Once\"";
  const Answer hopeless = complete("{\"prompt\":[" + prompts + "]" + endless);
  EXPECT_EQ(hopeless.status, 400) << hopeless.body;
  EXPECT_THAT(str(hopeless.json(), {"error", "message"}), HasSubstr("at most 36, got 64 prompts"));
  // The choices that had found a place went with the request that failed.
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  {
    Probe first(port());
    first.send(post("/v1/completions", R"({"prompt":"Once","n":36)" + endless));
    ASSERT_TRUE(eventually([&] { return llm_.stats().n_waiting >= 20; }));
    expect_full(complete(R"({"prompt":"Once","n":36)" + endless));
    expect_full(complete(R"({"prompt":"Once","n":36,"stream":true)" + endless));
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  EXPECT_EQ(complete(std::string(kGreedy) + "}").status, 200);
  // More than an idle server holds: waiting would not help.
  const Answer too_many = complete(R"({"prompt":"Once","n":37,"max_tokens":4})");
  EXPECT_EQ(too_many.status, 400) << too_many.body;
  EXPECT_EQ(str(too_many.json(), {"error", "param"}), "n");
}

TEST_F(ServerTest, RequestsWaitForTheModel) {
  const auto gate = std::make_shared<Gate>();
  LoadOptions load;
  load.n_threads = 1;
  load.progress = [gate](const std::string&, double) { gate->pass(); };
  llm_ = LLM(OPENLLM_TEST_DATA "/stories260K/hf", load);
  start_loading();
  Probe waiting(port());
  waiting.send(post("/v1/completions", std::string(kGreedy) + "}"));
  {
    Probe gone(port());
    gone.send(post("/v1/completions", std::string(kGreedy) + R"(,"stream":true})"));
  }
  EXPECT_EQ(ask(get("/healthz")).status, 200);
  const Answer loading = ask(get("/readyz"));
  EXPECT_EQ(loading.status, 503);
  EXPECT_EQ(str(loading.json(), {"status"}), "loading");
  EXPECT_EQ(ask(get("/v1/models")).status, 200);
  EXPECT_EQ(str(ask(get("/v1/models")).json(), {"data", "0", "max_model_len"}), "(absent)")
      << "not known yet";
  EXPECT_EQ(str(loading.json(), {"models"}), "(absent)") << "there is one alone";
  EXPECT_THAT(ask(get("/metrics")).body, HasSubstr("openllm_ready 0\n"));
  EXPECT_EQ(complete("{").status, 400) << "bad requests need no model";
  gate->release();
  EXPECT_EQ(waiting.read_answer().status, 200);
  server_->wait_until_ready();
  EXPECT_EQ(ask(get("/readyz")).status, 200);
}

TEST_F(ServerTest, AModelThatCannotBeLoaded) {
  const auto gate = std::make_shared<Gate>();
  LoadOptions load;
  load.kv_cache_bytes = 1;  // not one block
  load.progress = [gate](const std::string&, double) { gate->pass(); };
  llm_ = LLM(OPENLLM_TEST_DATA "/stories260K/hf", load);
  start_loading();
  const auto check = [](const Answer& answer) {
    EXPECT_EQ(answer.status, 503) << answer.body;
    EXPECT_EQ(str(answer.json(), {"error", "code"}), "model_load_failed");
    EXPECT_EQ(str(answer.json(), {"error", "type"}), "server_error");
    EXPECT_THAT(str(answer.json(), {"error", "message"}), HasSubstr("kv_cache_bytes: too small"));
  };
  Probe early(port());  // waits for the model when loading fails
  early.send(post("/v1/completions", std::string(kGreedy) + R"(,"stream":true})"));
  EXPECT_EQ(ask(get("/healthz")).status, 200);
  gate->release();
  check(early.read_answer());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT([&] { server_->wait_until_ready(); },
                ThrowsMessage<Error>(HasSubstr("kv_cache_bytes: too small")));
  }
  EXPECT_EQ(str(ask(get("/readyz")).json(), {"status"}), "failed");
  const Answer failed = ask(get("/readyz"));
  EXPECT_EQ(failed.status, 503);
  EXPECT_THAT(str(failed.json(), {"reason"}), HasSubstr("kv_cache_bytes: too small"));
  check(complete(std::string(kGreedy) + "}"));
  check(chat(std::string(kHi) + R"(,"stream":true})"));
  EXPECT_EQ(ask(get("/healthz")).status, 200);
  EXPECT_THAT(ask(get("/metrics")).body, HasSubstr("openllm_ready 0\n"));
}

TEST_F(ServerTest, OptionsThatCouldServeNobodyAreRefused) {
  const auto is_refused = [&](const std::function<void(ServerOptions&)>& change) {
    ServerOptions options;
    change(options);
    try {
      const Server server(llm_, options);
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidArgument;
    }
  };
  EXPECT_FALSE(is_refused([](ServerOptions&) {}));
  EXPECT_FALSE(is_refused([](ServerOptions& o) { o.api_keys = {"sk-a b"}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.api_keys = {"good", ""}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.api_keys = {"key\n"}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.api_keys = {" key"}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.api_keys = {"key "}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.host = ""; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.model_aliases = {""}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.allowed_origins = {"example.com"}; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.max_body_bytes = 0; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.max_connections = 0; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.header_timeout_s = 0; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.idle_timeout_s = -1; }));
  EXPECT_TRUE(is_refused([](ServerOptions& o) { o.shutdown_timeout_s = -1; }));
}

TEST_F(ServerTest, WaitingForAServerThatWasNotStartedIsRefused) {
  const Server server(llm_);
  EXPECT_THROW(server.wait_until_ready(), Error);
}

TEST_F(ServerTest, TheAddressMustBeFree) {
  start();
  ServerOptions options;
  options.port = port();
  Server second(llm_, options);
  EXPECT_THROW(second.start(), Error);
}

}  // namespace
}  // namespace openllm::contract
