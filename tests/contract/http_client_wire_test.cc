// What the native client sends, and what it makes of servers that misbehave.

#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>
#include <vector>

#include "base/json.h"
#include "fake_server.h"
#include "openllm/http_client.h"
#include "openllm/version.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using namespace std::chrono_literals;

const std::string kWhole =
    R"({"prompt":"a","finished":true,"outputs":[{"index":0,"text":"x","token_ids":[5],)"
    R"("cumulative_logprob":-1,"finish_reason":"stop"}],"request_id":"r"})";
const std::string kPart =
    R"({"finished":false,"outputs":[{"index":0,"text":"x","token_ids":[5]}],"request_id":"r"})";
const std::string kEnd =
    R"({"finished":true,"outputs":[{"index":0,"text":"","finish_reason":"stop"}]})";

/// A server that answers with these replies one after the other, the last one for ever.
class Script {
 public:
  explicit Script(std::vector<std::string> replies)
      : replies_(std::move(replies)), server_([this](const std::string& request) {
          requests_.push_back(request);
          const std::size_t i = std::min(requests_.size(), replies_.size()) - 1;
          return FakeServer::Reply{replies_[i]};
        }) {}
  HTTPClient client(int max_retries = 2) const {
    return HTTPClient(
        {.address = server_.address(), .max_retries = max_retries, .retry_pause = 0ms});
  }
  std::string address() const { return server_.address(); }
  int n_requests() const { return server_.n_requests(); }
  const std::string& last() const { return requests_.back(); }
  std::string last_body() const { return last().substr(last().find("\r\n\r\n") + 4); }

 private:
  std::vector<std::string> replies_;
  std::vector<std::string> requests_{};
  FakeServer server_;
};

std::string answer(const std::string& body = kWhole) {
  return http_reply(200, "application/json", body);
}
std::string refused(int status, const std::string& headers = "") {
  return http_reply(status, "application/json", R"({"error":{"message":"no"}})", headers);
}

/// The code of the error that a call ends with, "none" without one.
std::string failure(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return to_string(error.code());
  }
  return "none";
}

TEST(HttpClientWire, RequestsSayWhoCalls) {
  const Script script({answer()});
  const HTTPClient client({.address = script.address() + "/base/", .auth_token = "key"});
  EXPECT_EQ(client.address(), script.address() + "/base");
  EXPECT_EQ(client.base_url(), script.address() + "/base/v1");
  EXPECT_EQ(client.user_agent(), std::string("HTTPClient/C++ ") + version());
  client.generate("a");
  EXPECT_THAT(script.last(), StartsWith("POST /base/v1/generate HTTP/1.1\r\n"));
  for (const std::string& line :
       {"User-Agent: " + client.user_agent(), std::string("Authorization: Bearer key"),
        std::string("Content-Type: application/json"),
        std::string("X-OpenLLM-Client-Language: C++"),
        std::string("X-OpenLLM-Client-Package-Version: ") + version(),
        std::string("X-OpenLLM-Client-Runtime: libcurl")})
    EXPECT_THAT(script.last(), HasSubstr("\r\n" + line + "\r\n"));
  for (const char* name : {"Runtime-Version", "Arch", "OS"})
    EXPECT_THAT(script.last(), ::testing::ContainsRegex("\r\nX-OpenLLM-Client-" +
                                                        std::string(name) + ": [^ \r]+"));
}

TEST(NotInherited, N41RequestsHaveOnlyWhatTheCallerSet) {
  const Script script({answer()});
  const HTTPClient client = script.client();
  client.generate("a");
  EXPECT_EQ(script.last_body(), R"({"prompt":"a"})");
  EXPECT_EQ(script.n_requests(), 1) << "nobody asked for the server's configuration";
  client.generate("a", {.temperature = 0.5F, .stop = {{"x"}}}, {.llm_config = {{.top_k = 3}}});
  EXPECT_EQ(script.last_body(),
            R"({"prompt":"a","stop":["x"],"llm_config":{"temperature":0.5,"top_k":3}})");
  const HTTPClient other({.address = script.address(), .api_version = "v2", .model = "m"});
  other.generate("a");
  EXPECT_THAT(script.last(), StartsWith("POST /v2/generate "));
  EXPECT_EQ(script.last_body(), R"({"model":"m","prompt":"a"})");
}

TEST(HttpClientWire, AddressesAreTakenFromTheEnvironment) {
  const Script script({answer()});
  ::unsetenv("OPENLLM_ENDPOINT");
  EXPECT_EQ(failure([] { const HTTPClient client; }), "invalid_argument");
  EXPECT_EQ(failure([] { const AsyncHTTPClient client; }), "invalid_argument");
  ::setenv("OPENLLM_ENDPOINT", script.address().substr(7).c_str(), 1);
  ::setenv("OPENLLM_AUTH_TOKEN", "from-env", 1);
  HTTPClient().generate("a");
  EXPECT_THAT(script.last(), HasSubstr("Authorization: Bearer from-env\r\n"));
  EXPECT_EQ(HTTPClient("127.0.0.1:9").address(), "http://127.0.0.1:9") << "what is given wins";
  EXPECT_EQ(HTTPClient("https://a.example/v1").address(), "https://a.example");
  ::unsetenv("OPENLLM_ENDPOINT");
  ::unsetenv("OPENLLM_AUTH_TOKEN");
}

TEST(HttpClientWire, OptionsThatCannotBeUsedAreRefused) {
  const auto code = [](const HTTPClientOptions& options) {
    return failure([&] { const HTTPClient client(options); });
  };
  EXPECT_EQ(code({.address = "ftp://a"}), "invalid_argument");
  EXPECT_EQ(code({.address = "a", .auth_token = "a\r\nX: b"}), "invalid_argument");
  EXPECT_EQ(code({.address = "a", .timeout_s = 0}), "invalid_argument");
  EXPECT_EQ(code({.address = "a", .verify = false, .ca_file = "x"}), "invalid_argument");
  EXPECT_EQ(code({.address = "a", .max_retries = -1}), "invalid_argument");
  EXPECT_EQ(code({.address = "a", .retry_pause = -1ms}), "invalid_argument");
  for (const char* wrong : {"", "v1/../x", "v 1", "v1?"})
    EXPECT_EQ(code({.address = "a", .api_version = wrong}), "invalid_argument") << wrong;
  const HTTPClient client("127.0.0.1:1");
  EXPECT_EQ(failure([&] { client.generate("a", {.tenant = {"t"}}); }), "unsupported");
  EXPECT_EQ(failure([&] { client.generate("a", {.group = {"t"}}); }), "unsupported");
  EXPECT_EQ(failure([&] { client.generate("a", {.max_wait = 1ms}); }), "unsupported");
  EXPECT_EQ(failure([&] { client.generate("a", {}, {.timeout_s = 0}); }), "invalid_argument");
  EXPECT_EQ(failure([&] { client.generate("a"); }), "unavailable");
}

TEST(HttpClientRetries, AfterWhatMayPass) {
  for (const int status : {408, 409, 429, 500, 503}) {
    const Script script({refused(status), refused(status), answer()});
    EXPECT_EQ(script.client().generate("a").outputs[0].text, "x") << status;
    EXPECT_EQ(script.n_requests(), 3);
    const Script stubborn({refused(status)});
    EXPECT_NE(failure([&] { stubborn.client(1).generate("a"); }), "none");
    EXPECT_EQ(stubborn.n_requests(), 2) << status;
  }
  for (const int status : {400, 401, 404, 422}) {
    const Script script({refused(status)});
    EXPECT_NE(failure([&] { script.client().generate("a"); }), "none");
    EXPECT_EQ(script.n_requests(), 1) << status;
  }
}

TEST(HttpClientRetries, TheServerDecides) {
  const Script again({refused(400, "X-Should-Retry: true\r\n"), answer()});
  EXPECT_EQ(again.client().generate("a").outputs[0].text, "x");
  const Script never({refused(503, "X-Should-Retry: false\r\n"), answer()});
  EXPECT_EQ(failure([&] { never.client().generate("a"); }), "unavailable");
  EXPECT_EQ(never.n_requests(), 1);
  const std::string past = "Retry-After: Fri, 27 Nov 2020 10:00:00 GMT\r\n";
  const Script dated({refused(429, past), answer()});
  // Were the date not read, an hour would pass.
  const HTTPClient patient({.address = dated.address(), .retry_pause = std::chrono::hours(1)});
  EXPECT_EQ(patient.generate("a").outputs[0].text, "x");
}

TEST(HttpClientRetries, StreamsAreAskedForAgainUntilTheyBegin) {
  const Script later({refused(503), event_reply({kPart, kEnd, "[DONE]"})});
  std::string text;
  for (const GenerationOutput& output : later.client().generate_iterator("a"))
    text += output.outputs[0].delta;
  EXPECT_EQ(text, "x");
  EXPECT_THAT(later.last(), StartsWith("POST /v1/generate_stream "));
  const Script broken({event_reply({kPart, R"({"error":{"message":"m","code":"unavailable"}})"})});
  GenerationStream stream = broken.client().generate_iterator("a");
  EXPECT_EQ(failure([&] {
              while (stream.next() != nullptr) {
              }
            }),
            "unavailable")
      << "the server's code";
  EXPECT_EQ(broken.n_requests(), 1) << "never after the first event";
}

TEST(HttpClientRetries, SilenceIsNotTriedAgain) {
  const FakeServer silent([](const std::string&) { return FakeServer::Reply{"", true}; });
  const HTTPClient client({.address = silent.address(), .retry_pause = 0ms});
  EXPECT_EQ(failure([&] { client.generate("a", {}, {.timeout_s = 1}); }), "deadline");
  EXPECT_EQ(silent.n_requests(), 1);
}

TEST(HttpClientStreams, ATimeoutEndsTheAnswerWithWhatThereIs) {
  const FakeServer slow([](const std::string& request) {
    EXPECT_THAT(request, Not(HasSubstr("timeout"))) << "the client measures it";
    return FakeServer::Reply{event_reply({kPart}), true};
  });
  const HTTPClient client({.address = slow.address(), .max_retries = 0});
  const GenerationOutput output = client.generate("a", {.timeout = 50ms});
  EXPECT_TRUE(output.finished);
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kDeadline);
}

TEST(HttpClientStreams, AnAnswerThatIsCutOffIsAnError) {
  const auto read = [](const std::string& reply) {
    const Script script({reply});
    return failure([&] {
      GenerationStream stream = script.client().generate_iterator("a");
      while (stream.next() != nullptr) {
      }
    });
  };
  EXPECT_EQ(read(event_reply({kPart, kEnd, "[DONE]"})), "none");
  EXPECT_EQ(read(event_reply({kPart, kEnd})), "none");
  EXPECT_EQ(read(event_reply({kPart, "[DONE]"})), "io");
  EXPECT_EQ(read(event_reply({kPart})), "io");
  EXPECT_EQ(read(event_reply({})), "io");
  EXPECT_EQ(read(event_reply({"{bad"})), "io");
  EXPECT_EQ(read(http_reply(200, "text/html", "<html>")), "io");
  EXPECT_EQ(read(answer()), "none") << "a server that does not stream";
}

TEST(NotInherited, N34StreamsOfSingleTokensHaveEventsWithout) {
  const Script script(
      {event_reply({R"({"finished":false,"outputs":[],"request_id":"r"})",
                    R"({"finished":false,"outputs":[{"index":0,"text":"","token_ids":[]}]})", kPart,
                    R"({"finished":false,"outputs":[{"index":0,"text":"yz","token_ids":[6,7]}]})",
                    R"({"finished":false,"outputs":[{"index":0,"text":"!","token_ids":[]}]})", kEnd,
                    "[DONE]"})});
  std::string text;
  std::vector<std::int32_t> ids;
  for (const StreamingResponse& item : script.client().generate_stream("a")) {
    EXPECT_EQ(item.request_id, "r");
    text += item.text;
    if (item.token_ids) ids.push_back(*item.token_ids);
  }
  EXPECT_EQ(text, "xyz!");
  EXPECT_THAT(ids, ElementsAre(5, 6, 7));
}

TEST(HttpClientMetadata, IsAskedForOnce) {
  const std::string metadata =
      R"({"model_id":"m","model_name":"m","backend":"pt","timeout":3,)"
      R"("configuration":"{\"generation_config\":{\"max_new_tokens\":7}}"})";
  const Script script({answer(metadata)});
  const HTTPClient client = script.client();
  EXPECT_EQ(client["max_new_tokens"], "7");
  EXPECT_EQ(client["backend"], "pt");
  EXPECT_EQ(client.metadata().configuration.max_new_tokens, 7);
  EXPECT_EQ(script.n_requests(), 1);
  EXPECT_THAT(script.last(), StartsWith("POST /v1/metadata "));
  const Script broken({answer("{}"), answer(metadata)});
  const HTTPClient other = broken.client();
  EXPECT_EQ(failure([&] { (void)other["backend"]; }), "io");
  EXPECT_EQ(other["backend"], "pt") << "a failure is not kept";
}

TEST(HttpClientAsync, DroppedCallsEnd) {
  const FakeServer silent([](const std::string&) { return FakeServer::Reply{"", true}; });
  const AsyncHTTPClient client({.address = silent.address(), .max_retries = 0});
  { const Task<Metadata> dropped = client.metadata(); }  // the test ends if it does
  EXPECT_FALSE(client.is_closed());
}

}  // namespace
}  // namespace openllm::contract
