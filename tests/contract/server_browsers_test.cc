// The HTTP contract of the server: requests of web pages.

#include <gmock/gmock.h>

#include <functional>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

TEST_F(ServerTest, BrowsersCannotPostForms) {
  start();
  const std::string body = std::string(kGreedy) + "}";
  const auto request = [&](const std::string& headers) {
    return "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
  };
  EXPECT_EQ(ask(request("Content-Type: text/plain\r\nOrigin: http://evil\r\n")).status, 415);
  EXPECT_EQ(ask(request("Content-Type: application/x-www-form-urlencoded\r\n")).status, 200);
  EXPECT_EQ(ask(request("Content-Encoding: gzip\r\n")).status, 415);
}

std::string allowed_origin(const Answer& answer) {
  const auto found = answer.headers.find("access-control-allow-origin");
  return found == answer.headers.end() ? "(none)" : found->second;
}

TEST_F(ServerTest, PagesOfOtherOriginsAreNotLetInUnasked) {
  start();
  const Answer answer = ask(get("/v1/models", "Origin: https://page\r\n"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(allowed_origin(answer), "(none)");
  EXPECT_EQ(answer.headers.count("vary"), 0U);
}

TEST_F(ServerTest, ListedOriginsMayReadEveryAnswer) {
  ServerOptions options;
  options.allowed_origins = {"https://page", "http://localhost:5173"};
  options.api_keys = {"secret"};
  options.max_body_bytes = 10'000;
  options.header_timeout_s = 3;
  start(options);
  const std::string page = "Origin: https://page\r\n";
  const std::string key = "Authorization: Bearer secret\r\n";
  const auto check = [](const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(allowed_origin(answer), "https://page") << status;
    EXPECT_EQ(answer.headers.at("vary"), "Origin") << status;
    EXPECT_THAT(answer.headers.at("access-control-expose-headers"), HasSubstr("X-Request-Id"));
  };
  check(ask(get("/v1/models", page + key)), 200);
  check(ask(post("/v1/completions", std::string(kGreedy) + "}", page + key)), 200);
  check(ask(post("/v1/completions", std::string(kGreedy) + R"(,"stream":true})", page + key)), 200);
  check(ask(post("/v1/completions", "{", page + key)), 400);
  check(ask(get("/v1/models", page)), 401);
  check(ask(get("/nowhere", page + key)), 404);
  check(ask(get("/v1/completions", page + key)), 405);
  // Requests that are refused before they are whole.
  check(ask(get("/", page + "Content-Length: 10001\r\n")), 413);
  check(ask(get("/", page + "Transfer-Encoding: gzip\r\n")), 501);
  check(ask(get("/", page + "Transfer-Encoding: chunked\r\n") + "ZZ\r\n"), 400);
  check(ask(get("/", page + "Content-Length: 5\r\n")), 408);

  const Answer other = ask(get("/v1/models", "Origin: https://other\r\n" + key));
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(allowed_origin(other), "(none)");
  EXPECT_EQ(other.headers.at("vary"), "Origin");
  EXPECT_EQ(allowed_origin(ask(get("/healthz", "Origin: http://localhost:5173\r\n"))),
            "http://localhost:5173");
}

TEST_F(ServerTest, BrowsersAskBeforehandWithoutTheKey) {
  ServerOptions options;
  options.allowed_origins = {"https://page"};
  options.api_keys = {"secret"};
  start(options);
  const auto preflight = [&](const std::string& path, const std::string& origin) {
    return ask("OPTIONS " + path + " HTTP/1.1\r\nHost: a\r\nOrigin: " + origin +
               "\r\nAccess-Control-Request-Method: POST\r\n"
               "Access-Control-Request-Headers: authorization,content-type\r\n\r\n");
  };
  for (const char* path : {"/v1/chat/completions", "/healthz", "/nowhere"}) {
    const Answer answer = preflight(path, "https://page");
    EXPECT_EQ(answer.status, 204) << path;
    EXPECT_EQ(allowed_origin(answer), "https://page") << path;
    EXPECT_THAT(answer.headers.at("access-control-allow-methods"), HasSubstr("POST"));
    EXPECT_EQ(answer.headers.at("access-control-allow-headers"), "authorization,content-type");
    EXPECT_GE(std::stoi(answer.headers.at("access-control-max-age")), 60);
  }
  const Answer other = preflight("/v1/chat/completions", "https://other");
  EXPECT_EQ(other.status, 401);
  EXPECT_EQ(allowed_origin(other), "(none)");
  EXPECT_EQ(ask("OPTIONS /v1/models HTTP/1.1\r\nHost: a\r\nOrigin: https://page\r\n\r\n").status,
            401)
      << "not a preflight";
}

TEST_F(ServerTest, EveryPageIfTheServerIsToldSo) {
  ServerOptions options;
  options.allowed_origins = {"*"};
  options.max_connections = 1;
  start(options);
  Probe probe(port());
  probe.send(get("/healthz", "Origin: null\r\n"));
  const Answer answer = probe.read_answer();
  EXPECT_EQ(allowed_origin(answer), "*");
  EXPECT_EQ(answer.headers.count("vary"), 0U);
  EXPECT_EQ(allowed_origin(ask(get("/healthz"))), "*") << "too many connections";
}

}  // namespace
}  // namespace openllm::contract
