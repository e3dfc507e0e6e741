// The HTTP contract of the server: paths, methods, keys and names at their edges.

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/utf8.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::vector<std::string> kGetRoutes{"/v1/models", "/healthz",   "/livez",   "/readyz",
                                          "/health",    "/v1/health", "/metrics", "/version"};
const std::vector<std::string> kPostRoutes{"/v1/completions", "/v1/chat/completions",
                                           "/v1/generate", "/v1/generate_stream"};

Answer head_of(std::uint16_t port, const std::string& path) {
  Probe probe(port);
  probe.send("HEAD " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
  return probe.read_answer(true);
}

TEST_F(ServerTest, ExpectationsAreRefusedAlsoWhenTheBodyHasCome) {
  start();
  const std::string body = std::string(kGreedy) + "}";
  EXPECT_EQ(ask(post("/v1/completions", body, "Expect: tea\r\n")).status, 417);
  EXPECT_EQ(ask(get("/healthz", "Expect: tea\r\n")).status, 417);
  const Answer early = ask(post("/v1/completions", body, "Expect: 100-continue\r\n"));
  EXPECT_THAT(early.status, AnyOf(100, 200)) << "the body may come before it is asked for";
}

TEST_F(ServerTest, PathsThatAreNoTextAreRefused) {
  start();
  for (const char* path :
       {"/v1/models/%00", "/v1/models/a%0Ab", "/v1/models/%1b[2J", "/%7F", "/v1/models/%ff",
        "/v1/models/%C3", "/v1/models/%c0%80", "/%", "/%4", "/v1/models/%zz", "/v1/models/%+1"}) {
    const Answer answer = ask(get(path));
    EXPECT_EQ(answer.status, 400) << path << answer.body;
    EXPECT_THAT(str(answer.json(), {"error", "message"}), StartsWith("path: ")) << path;
    for (const char c : answer.body) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << path << int{c};
  }
  EXPECT_EQ(ask(get("/v1/models/caf%C3%A9")).status, 404) << "a name that no model has";
}

TEST_F(ServerTest, ManySpellingsOfOnePath) {
  start();
  const std::string id = llm_.id();
  for (const std::string& path :
       {std::string("/v1/models"), std::string("/v1/models/"), std::string("/v1/%6dodels"),
        std::string("/v1/models?a=b"), std::string("http://other:9/v1/models"), "/v1/models/" + id,
        "/v1/models/" + id + "/", "/v1/models/" + id + "?x"}) {
    EXPECT_EQ(ask(get(path)).status, 200) << path;
  }
  EXPECT_EQ(ask(get("http://other:9")).status, 200) << "the page of the routes";
  for (const char* path :
       {"/v1", "/v1/", "//v1/models", "/V1/models", "/v1/models//", "/v1/models/../models"}) {
    EXPECT_EQ(ask(get(path)).status, 404) << path;
  }
  EXPECT_EQ(ask(get("/" + std::string(9000, 'a'))).status, 414);
}

TEST_F(ServerTest, EveryRouteKnowsItsMethods) {
  start();
  for (const std::string& path : kGetRoutes) {
    const Answer answer = ask(get(path));
    EXPECT_EQ(answer.status, 200) << path;
    const Answer head = head_of(port(), path);
    EXPECT_EQ(head.status, 200) << path;
    EXPECT_EQ(head.headers.at("content-type"), answer.headers.at("content-type")) << path;
    EXPECT_EQ(ask(post(path, "{}")).headers.at("allow"), "GET, HEAD, OPTIONS") << path;
    EXPECT_EQ(ask("DELETE " + path + " HTTP/1.1\r\nHost: a\r\n\r\n").status, 405) << path;
    const Answer options = ask("OPTIONS " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(options.status, 204) << path;
    EXPECT_EQ(options.headers.at("allow"), "GET, HEAD, OPTIONS") << path;
    EXPECT_EQ(options.headers.count("content-length"), 0U) << "204 has no body";
  }
  for (const std::string& path : kPostRoutes) {
    const Answer answer = ask(get(path));
    EXPECT_EQ(answer.status, 405) << path;
    EXPECT_EQ(answer.headers.at("allow"), "POST, OPTIONS") << path;
    EXPECT_EQ(head_of(port(), path).status, 405) << path;
    EXPECT_EQ(ask("OPTIONS " + path + " HTTP/1.1\r\nHost: a\r\n\r\n").status, 204) << path;
  }
  EXPECT_EQ(ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 204);
  EXPECT_EQ(ask("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);
  EXPECT_EQ(ask("get /healthz HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
}

TEST_F(ServerTest, EveryRouteButTheHealthOnesWantsAKey) {
  ServerOptions options;
  options.api_keys = {"secret", "other"};
  start(options);
  for (const std::string& path : kGetRoutes) {
    const bool is_health = path.find("health") != std::string::npos || path.ends_with("z");
    EXPECT_EQ(ask(get(path)).status, is_health ? 200 : 401) << path;
    EXPECT_EQ(head_of(port(), path).status, is_health ? 200 : 401) << path;
    EXPECT_EQ(ask(get(path, "Authorization: Bearer secret\r\n")).status, 200) << path;
  }
  EXPECT_EQ(ask(get("/v1/models/" + llm_.id())).status, 401);
  for (const std::string& path : kPostRoutes) EXPECT_EQ(ask(post(path, "{}")).status, 401) << path;
}

TEST_F(ServerTest, KeysComeInEitherField) {
  ServerOptions options;
  options.api_keys = {"secret", "other"};
  start(options);
  const auto status = [&](const std::string& fields) {
    return ask(get("/version", fields)).status;
  };
  EXPECT_EQ(status("X-Api-Key: secret\r\n"), 200);
  EXPECT_EQ(status("x-api-key: other\r\n"), 200);
  EXPECT_EQ(status("X-Api-Key: Bearer secret\r\n"), 401);
  EXPECT_EQ(status("X-Api-Key: secre\r\n"), 401);
  EXPECT_EQ(status("X-Api-Key: secretsecret\r\n"), 401);
  EXPECT_EQ(status("X-Api-Key: \r\n"), 401);
  EXPECT_EQ(status("Authorization: bearer   secret\r\n"), 200);
  EXPECT_EQ(status("Authorization: Basic c2VjcmV0\r\n"), 401);
  EXPECT_EQ(status("Authorization: secret\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer unused\r\nX-Api-Key: secret\r\n"), 200)
      << "SDKs that send a key of their own beside it";
  const Answer refused = ask(get("/version"));
  EXPECT_EQ(str(refused.json(), {"error", "type"}), "authentication_error");
  EXPECT_EQ(str(refused.json(), {"error", "code"}), "invalid_api_key");
}

TEST_F(ServerTest, EveryAnswerHasARequestId) {
  start();
  const auto id_of = [&](const std::string& request) {
    const Answer answer = ask(request);
    return answer.headers.count("x-request-id") > 0 ? answer.headers.at("x-request-id") : "(none)";
  };
  const std::string mine = "X-Request-Id: mine\r\n";
  EXPECT_EQ(id_of(get("/version", mine)), "mine");
  EXPECT_EQ(id_of(get("/nowhere", mine)), "mine");
  EXPECT_EQ(id_of(post("/v1/completions", "{", mine)), "mine");
  EXPECT_EQ(id_of(post("/v1/completions", std::string(kGreedy) + R"(,"stream":true})", mine)),
            "mine");
  EXPECT_EQ(id_of(get("/version", mine + "Expect: tea\r\n")), "mine") << "refused unread";
  EXPECT_THAT(id_of("HELLO\r\n\r\n"), StartsWith("req-"));
  EXPECT_THAT(id_of(get("/version")), StartsWith("req-"));
  EXPECT_THAT(id_of(get("/version", "X-Request-Id: a b\r\n")), StartsWith("req-"));
  EXPECT_THAT(id_of(get("/version", "X-Request-Id: " + std::string(129, 'x') + "\r\n")),
              StartsWith("req-"));
  EXPECT_NE(id_of(get("/version")), id_of(get("/version")));
}

TEST_F(ServerTest, ModelsAreDescribedAsOthersDo) {
  ServerOptions options;
  options.model_aliases = {"gpt"};
  start(options);
  const base::Json list = ask(get("/v1/models")).json();
  EXPECT_EQ(str(list, {"data", "0", "id"}), llm_.id());
  EXPECT_EQ(str(list, {"data", "0", "object"}), "model");
  EXPECT_EQ(str(list, {"data", "0", "owned_by"}), "openllm");
  EXPECT_EQ(str(list, {"data", "0", "root"}), llm_.id());
  EXPECT_EQ(str(list, {"data", "0", "parent"}), "null");
  EXPECT_EQ(str(list, {"data", "0", "permission"}), "[]");
  EXPECT_EQ(str(list, {"data", "0", "max_model_len"}), std::to_string(llm_.info().max_context));
  EXPECT_EQ(str(list, {"data", "1", "id"}), "gpt");
  EXPECT_EQ(str(list, {"data", "1", "root"}), llm_.id());
  EXPECT_EQ(str(list, {"data", "1", "parent"}), llm_.id());
  EXPECT_EQ(ask(get("/v1/models")).body, ask(get("/v1/models")).body) << "the time as well";
}

TEST_F(ServerTest, AnswersNameTheSystemThatMadeThem) {
  start();
  const std::string stream = R"(,"stream":true})";
  const std::string print =
      str(complete(std::string(kGreedy) + "}").json(), {"system_fingerprint"});
  EXPECT_THAT(print, StartsWith("fp_"));
  EXPECT_EQ(print.size(), 13U);
  EXPECT_EQ(str(chat(std::string(kHi) + "}").json(), {"system_fingerprint"}), print);
  for (const Answer& answer : {complete(kGreedy + stream), chat(kHi + stream)}) {
    for (const std::string& event : events(answer.body)) {
      if (event == "[DONE]") continue;
      EXPECT_EQ(str(base::Json::parse(event, "event"), {"system_fingerprint"}), print);
    }
  }
  server_.reset();
  llm_ = make_llm();
  start();
  EXPECT_EQ(str(complete(std::string(kGreedy) + "}").json(), {"system_fingerprint"}), print);
}

TEST_F(ServerTest, ClientsMayNotJumpTheQueue) {
  start();
  const std::string before = std::string(kGreedy) + R"(,"priority":-1})";
  const Answer refused = complete(before);
  EXPECT_EQ(refused.status, 400) << refused.body;
  EXPECT_EQ(str(refused.json(), {"error", "param"}), "priority");
  EXPECT_EQ(chat(std::string(kHi) + R"(,"priority":-1})").status, 400);
  for (const char* path : {"/v1/generate", "/v1/generate_stream"}) {
    EXPECT_EQ(ask(post(path, R"({"prompt":"a","llm_config":{"priority":-1}})")).status, 400);
    EXPECT_EQ(
        ask(post(path, R"({"prompt":"a","llm_config":{"priority":0,"max_new_tokens":1}})")).status,
        200);
  }
  EXPECT_EQ(complete(std::string(kGreedy) + R"(,"priority":7})").status, 200);
  server_.reset();
  ServerOptions options;
  options.allow_priority = true;
  start(options);
  EXPECT_EQ(complete(before).status, 200);
}

/// A prompt of some blocks of the cache.
std::string long_prompt() {
  std::string words = "Once";
  for (int i = 0; i < 100; ++i) words += " upon a time";
  return words;
}

TEST_F(ServerTest, NobodySeesWhatAnotherKeySent) {
  ServerOptions options;
  options.api_keys = {"one", "two"};
  start(options);
  const auto cached = [&](const std::string& key, const std::string& more = "") {
    const Answer answer = ask(
        post("/v1/completions", R"({"max_tokens":1,"prompt":")" + long_prompt() + "\"" + more + "}",
             "Authorization: Bearer " + key + "\r\n"));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return std::stoi(str(answer.json(), {"usage", "prompt_tokens_details", "cached_tokens"}));
  };
  EXPECT_EQ(cached("one"), 0);
  EXPECT_EQ(cached("two"), 0);
  EXPECT_GT(cached("one"), 0);
  EXPECT_GT(cached("two"), 0);
  const std::string salt = R"(,"cache_salt":"pepper")";
  EXPECT_EQ(cached("one", salt), 0);
  EXPECT_GT(cached("one", salt), 0);
  EXPECT_EQ(cached("two", salt), 0);
}

TEST_F(ServerTest, MetricsInBothFormats) {
  start();
  const Answer plain = ask(get("/metrics"));
  EXPECT_THAT(plain.headers.at("content-type"), StartsWith("text/plain; version=0.0.4"));
  EXPECT_THAT(plain.body, Not(HasSubstr("# EOF")));
  const Answer open = ask(get("/metrics", "Accept: application/openmetrics-text\r\n"));
  EXPECT_THAT(open.headers.at("content-type"), StartsWith("application/openmetrics-text"));
  EXPECT_TRUE(open.body.ends_with("\n# EOF\n"));
  // A counter's family and a gauge of the same name could not be told apart there.
  std::vector<std::string> families;
  for (std::size_t at = 0; (at = open.body.find("# TYPE ", at)) != std::string::npos; at += 7)
    families.push_back(open.body.substr(at + 7, open.body.find(' ', at + 7) - at - 7));
  std::sort(families.begin(), families.end());
  EXPECT_EQ(std::adjacent_find(families.begin(), families.end()), families.end());
  EXPECT_GT(families.size(), 10U);
}

}  // namespace
}  // namespace openllm::contract
