// What other servers' own tests ask about requests at their edges, asked of ours: wrong ones of
// every size, lengths, types, keys and counters (vLLM's tests/entrypoints, llama.cpp's
// tools/server/tests/unit).

#include <gmock/gmock.h>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class PeersRequests : public ServerTest {
 protected:
  Answer complete_with(const std::string& members) const {
    return complete(with_members(kGreedy, members));
  }
  Answer chat_with(const std::string& members) const { return chat(with_members(kHi, members)); }
  static std::string param_of(const Answer& answer) {
    EXPECT_EQ(answer.status, 400) << answer.body;
    return answer.status == 400 ? str(answer.json(), {"error", "param"}) : "";
  }
};

TEST_F(PeersRequests, LengthsAtTheirEdges) {
  start();
  const base::Json none = whole_of(complete_with(R"("max_tokens":0)"));
  EXPECT_EQ(str(none, {"choices", "0", "text"}), "");
  EXPECT_EQ(str(none, {"choices", "0", "finish_reason"}), "length");
  EXPECT_EQ(str(none, {"usage", "completion_tokens"}), "0");
  const base::Json silent = whole_of(chat_with(R"("max_completion_tokens":0)"));
  EXPECT_EQ(str(silent, {"choices", "0", "message", "content"}), "");
  EXPECT_EQ(str(silent, {"choices", "0", "finish_reason"}), "length");
  const base::Json full = whole_of(complete_with(R"("max_tokens":99999,"ignore_eos":true)"));
  EXPECT_EQ(str(full, {"usage", "total_tokens"}), std::to_string(llm_.info().max_context));
  EXPECT_EQ(str(full, {"choices", "0", "finish_reason"}), "length");
  EXPECT_EQ(param_of(complete_with(R"("max_tokens":-2)")), "max_tokens");
  const Answer more = complete_with(R"("min_tokens":21)");
  EXPECT_EQ(param_of(more), "min_tokens");
  EXPECT_THAT(str(more.json(), {"error", "message"}), StartsWith("min_tokens: "));
}

TEST_F(PeersRequests, StreamsOfNoTokensEndAsOthersDo) {
  start();
  const std::string stream = R"("max_tokens":0,"stream":true)";
  const std::vector<base::Json> texts = chunks_of(complete_with(stream));
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_EQ(str(texts[0], {"choices", "0", "text"}), "");
  EXPECT_EQ(str(texts[0], {"choices", "0", "finish_reason"}), "length");
  const std::vector<base::Json> talk = chunks_of(chat_with(stream));
  ASSERT_EQ(talk.size(), 2U);
  EXPECT_EQ(str(talk[0], {"choices", "0", "delta", "role"}), "assistant");
  EXPECT_EQ(str(talk[1], {"choices", "0", "finish_reason"}), "length");
}

TEST_F(PeersRequests, ConversationsThatAreTooLongAreAWrongField) {
  start();
  std::string words;
  for (int i = 0; i < 3000; ++i) words += " word";
  std::string turns = R"({"role":"user","content":"Hi"})";
  for (int i = 0; i < 300; ++i) turns += R"(,{"role":"user","content":"What is it"})";
  for (const std::string& messages : {R"({"role":"user","content":")" + words + "\"}", turns}) {
    for (const char* stream : {"false", "true"}) {
      const Answer answer = chat(R"({"messages":[)" + messages + R"(],"stream":)" + stream + "}");
      EXPECT_EQ(param_of(answer), "messages");
      EXPECT_EQ(str(answer.json(), {"error", "code"}), "context_length_exceeded");
      EXPECT_THAT(str(answer.json(), {"error", "message"}),
                  AllOf(StartsWith("messages: "), HasSubstr("maximum context length is 512")));
    }
  }
  const Answer native =
      ask(post("/v1/generate", R"({"messages":[{"role":"user","content":")" + words + "\"}]}"));
  EXPECT_EQ(param_of(native), "messages");
}

TEST_F(PeersRequests, SeedsHave64Bits) {
  start();
  const auto draw = [&](const std::string& seed) {
    return str(whole_of(complete_with(R"("temperature":1,"seed":)" + seed)),
               {"choices", "0", "text"});
  };
  for (const char* seed : {"9223372036854775807", "-9223372036854775808"})
    EXPECT_EQ(draw(seed), draw(seed)) << seed;
  EXPECT_NE(draw("9223372036854775807"), draw("9223372036854775806"));
  for (const char* seed : {"9223372036854775808", "-9223372036854775809", "1e30"}) {
    EXPECT_EQ(param_of(complete_with(std::string(R"("seed":)") + seed)), "seed") << seed;
    EXPECT_EQ(param_of(chat_with(std::string(R"("seed":)") + seed)), "seed") << seed;
  }
}

TEST_F(PeersRequests, OptionsOfStreamsAreForStreams) {
  start();
  for (const char* options : {"{}", R"({"include_usage":null})", R"({"include_usage":true})"}) {
    const std::string member = std::string(R"("stream_options":)") + options;
    EXPECT_EQ(param_of(complete_with(member)), "stream_options") << options;
    EXPECT_EQ(param_of(chat_with(member)), "stream_options") << options;
  }
  EXPECT_EQ(complete_with(R"("stream_options":null)").status, 200);
}

TEST_F(PeersRequests, ValuesOfOtherTypesAreRefused) {
  start();
  for (const auto& [members, param] :
       {std::pair{R"("n":"2")", "n"}, std::pair{R"("n":2.5)", "n"}, std::pair{R"("n":0)", "n"},
        std::pair{R"("stream":"true")", "stream"}, std::pair{R"("stream":1)", "stream"},
        std::pair{R"("model":5)", "model"}, std::pair{R"("echo":1)", "echo"},
        std::pair{R"("logprobs":true)", "logprobs"}, std::pair{R"("logprobs":-1)", "logprobs"},
        std::pair{R"("cache_salt":"")", "cache_salt"}, std::pair{R"("stop":[""])", "stop"},
        std::pair{R"("stop":[1])", "stop[0]"}, std::pair{R"("best_of":0)", "best_of"}}) {
    EXPECT_EQ(param_of(complete_with(members)), param) << members;
  }
  for (const auto& [members, param] :
       {std::pair{R"("logprobs":1)", "logprobs"},
        std::pair{R"("logprobs":true,"top_logprobs":-1)", "top_logprobs"},
        std::pair{R"("logprobs":true,"top_logprobs":21,"stream":true)", "top_logprobs"},
        std::pair{R"("echo":true)", "echo"}, std::pair{R"("tool_choice":"bogus")", "tool_choice"},
        std::pair{R"("tool_choice":5)", "tool_choice"},
        std::pair{R"("response_format":"json")", "response_format"},
        std::pair{R"("response_format":{"type":"sound"})", "response_format"}}) {
    EXPECT_EQ(param_of(chat_with(members)), param) << members;
  }
  EXPECT_EQ(complete_with(R"("n":2.0,"model":null,"stop":[],"user":null)").status, 200);
  EXPECT_EQ(chat_with(R"("tool_choice":null,"logprobs":null,"tools":null)").status, 200);
}

TEST_F(PeersRequests, BodiesThatAreNoJson) {
  start();
  for (const char* body :
       {R"({"prompt":"a","temperature":NaN})", R"({"prompt":"a","temperature":1e999})",
        R"({"prompt":"a\ud83d"})", R"({"prompt":"a","max_tokens":01})", R"({"prompt":"a",})",
        "{\"prompt\":\"a\nb\"}", "{\"prompt\":\"\xFF\"}", R"({'prompt':'a'})"}) {
    const Answer answer = complete(body);
    EXPECT_EQ(param_of(answer), "null") << body;
    EXPECT_EQ(str(answer.json(), {"error", "type"}), "invalid_request_error");
    EXPECT_EQ(chat(body).status, 400) << body;
  }
  const base::Json rocket =
      whole_of(complete(R"({"prompt":"\ud83d\ude80","max_tokens":0,"echo":true})"));
  EXPECT_EQ(str(rocket, {"choices", "0", "text"}), "\U0001F680");
}

TEST_F(PeersRequests, AnswersToWrongOnesAreShortWhateverTheySay) {
  start();
  const std::string much(100'000, 'A');
  std::string lists = "[1,2]";
  for (int i = 0; i < 5000; ++i) lists += R"(,{"text":1})";
  for (const std::string& members :
       {R"("max_tokens":")" + much + "\"", R"("prompt":[)" + lists + "]",
        R"("logit_bias":{")" + much + R"(":1})", R"("stop":[")" + much + R"(",5])",
        R"("request_id":")" + much + "\"", R"("model":")" + much + "\"",
        R"("stream_options":{")" + much + R"(":1},"stream":false)"}) {
    const Answer answer = complete("{\"prompt\":\"a\"," + members + "}");
    EXPECT_THAT(answer.status, AnyOf(400, 404)) << members.substr(0, 20);
    EXPECT_LT(answer.body.size(), 1000U) << members.substr(0, 20);
  }
  const Answer ignored = complete_with("\"" + much + "\":1");
  EXPECT_EQ(ignored.status, 200);
  EXPECT_LT(ignored.headers.at("openllm-ignored-fields").size(), 1100U);
  const Answer messages = chat(R"({"messages":[")" + much + "\"]}");
  EXPECT_EQ(param_of(messages), "messages[0]");
  EXPECT_LT(messages.body.size(), 1000U);
}

TEST_F(PeersRequests, NoBodyForgesLinesOfTheLog) {
  Log log;
  ServerOptions options;
  options.log = [&log](const std::string& line) { log.add(line); };
  start(options);
  EXPECT_EQ(complete_with(R"("x\r\nopenllm: FORGED":1,"\u001b[2J":2,"a\u2028b":3)").status, 200);
  EXPECT_EQ(ask(get("/v1/models/a%0D%0AFORGED")).status, 400);
  server_.reset();
  const std::vector<std::string> lines = log.lines();
  EXPECT_EQ(lines.size(), 3U);
  for (const std::string& line : lines) {
    EXPECT_THAT(line, Not(StartsWith("openllm: FORGED")));
    for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << line << int{c};
  }
}

TEST_F(PeersRequests, ASlashAtTheEndOpensNoDoor) {
  ServerOptions options;
  options.api_keys = {"secret"};
  start(options);
  for (const char* path : {"/healthz/", "/livez/", "/readyz/", "/health/", "/v1/health/"})
    EXPECT_EQ(ask(get(path)).status, 200) << path;
  for (const char* path : {"/v1/models/", "/metrics/", "/version/", "/v1/models/x/"})
    EXPECT_EQ(ask(get(path)).status, 401) << path;
  EXPECT_EQ(ask(get("/v1/models/", "Authorization: Bearer secret\r\n")).status, 200);
  EXPECT_EQ(ask(post("/v1/completions/", "{}")).status, 401);
  // Only what a browser asks beforehand goes without a key.
  EXPECT_EQ(ask("OPTIONS /metrics HTTP/1.1\r\nHost: a\r\n\r\n").status, 401);
}

/// Value of a line of `/metrics`.
double metric(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return -1;
  return std::stod(text.substr(at + name.size() + 2));
}

TEST_F(PeersRequests, CountersAddUpToTheUsagesOfTheAnswers) {
  start();
  for (const char* prompt : {"\"Once\"", "[1,403,407]"}) {
    for (const char* more : {"}", R"(,"stream":true})"}) {
      EXPECT_EQ(complete(std::string(R"({"max_tokens":7,"n":2,"ignore_eos":true,"prompt":)") +
                         prompt + more)
                    .status,
                200);
    }
  }
  EXPECT_EQ(complete_with(R"("n":0)").status, 400);
  EXPECT_EQ(complete_with(R"("model":"other")").status, 404);
  const std::string text = ask(get("/metrics")).body;
  const std::size_t n_prompt = 2 * (llm_.tokenize("Once").size() + 3);
  EXPECT_EQ(
      metric(text, "openllm_prompt_tokens_total") + metric(text, "openllm_cached_tokens_total"),
      static_cast<double>(n_prompt));
  EXPECT_EQ(metric(text, "openllm_generated_tokens_total"), 4 * 2 * 7);
  EXPECT_EQ(metric(text, "openllm_requests_total"), 4);
  EXPECT_EQ(metric(text, "openllm_requests_finished_total"), 4);
  EXPECT_EQ(metric(text, "openllm_sequences_running"), 0);
  EXPECT_EQ(metric(text, "openllm_sequences_waiting"), 0);
  EXPECT_EQ(metric(text, "openllm_time_to_first_token_seconds_count"), 4);
  EXPECT_EQ(metric(text, "openllm_e2e_request_latency_seconds_count"), 4);
  const auto answers = [&](const std::string& status) {
    return metric(
        text, R"(openllm_http_requests_total{route="/v1/completions",status=")" + status + "\"}");
  };
  EXPECT_EQ(answers("200"), 4);
  EXPECT_EQ(answers("400"), 1);
  EXPECT_EQ(answers("404"), 1);
  EXPECT_EQ(answers("500"), -1) << "none";
}

}  // namespace
}  // namespace openllm::contract
