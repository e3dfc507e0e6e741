// Clients without a key are refused before a long body is read.

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "http_probe.h"
#include "openllm/server.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

class ServerKeys : public ::testing::Test {
 protected:
  ServerKeys() {
    server_.start();
    server_.wait_until_ready();
  }
  /// The answer to a head with the fields, without any of the body that they announce.
  Answer answer_to_head(const std::string& fields, const std::string& path = "/v1/completions") {
    Probe probe(server_.port());
    probe.send("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n");
    return probe.read_answer();
  }

  Server server_{LLM(OPENLLM_TEST_DATA "/stories260K/hf", {.n_threads = 1}),
                 {.port = 0,
                  .api_keys = {"secret"},
                  .header_timeout_s = 3,  // when bodies are waited for that do not come
                  .allowed_origins = {"https://a.example"}}};
};

TEST_F(ServerKeys, LongBodiesAreNotReadWithout) {
  const std::string wrong = "Authorization: Bearer wrong\r\n";
  for (const std::string body : {"Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n",
                                 "Content-Length: 10\r\nExpect: 100-continue\r\n"}) {
    for (const std::string& key : {std::string(), wrong}) {
      Probe probe(server_.port());
      std::string request = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n";
      request += "Origin: https://a.example\r\n";
      request.append(body).append(key).append("\r\n");
      probe.send(request);
      const Answer answer = probe.read_answer();
      EXPECT_EQ(answer.status, 401) << body;
      EXPECT_THAT(answer.body, HasSubstr("invalid_api_key"));
      EXPECT_EQ(answer.headers.at("www-authenticate"), "Bearer");
      EXPECT_EQ(answer.headers.at("connection"), "close");
      EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "https://a.example");
    }
  }
  EXPECT_EQ(answer_to_head("Content-Length: 1000000\r\n", "/nowhere").status, 401);
}

TEST_F(ServerKeys, ClientsThatSendAllTheSameGetTheAnswer) {
  const std::string body = R"({"prompt":")" + std::string(200'000, 'a') + "\"}";
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(call(server_.port(), post("/v1/completions", body)).status, 401);
}

TEST_F(ServerKeys, LongBodiesAreReadWith) {
  const std::string key = "Authorization: Bearer secret\r\n";
  EXPECT_EQ(answer_to_head("Content-Length: 1000000\r\n" + key).status, 408) << "waited for";
  const std::string body =
      R"({"prompt":"Once","max_tokens":1,"user":")" + std::string(200'000, 'a') + "\"}";
  EXPECT_EQ(call(server_.port(), post("/v1/completions", body, key)).status, 200);
}

TEST_F(ServerKeys, ShortBodiesLeaveTheConnectionOpen) {
  Probe probe(server_.port());
  const std::string request = post("/v1/completions", R"({"prompt":"Once"})");
  const std::size_t cut = request.size() - 5;
  for (int i = 0; i < 2; ++i) {
    probe.send(request.substr(0, cut));
    probe.send(request.substr(cut));
    EXPECT_EQ(probe.read_answer().status, 401);
  }
  EXPECT_EQ(answer_to_head("Content-Length: 100000\r\n", "/healthz").status, 405)
      << "health routes want no key";
}

TEST_F(ServerKeys, WhatTheHeadDecidesIsAnsweredBeforeALongBody) {
  const std::string key = "Authorization: Bearer secret\r\n";
  for (const std::string body : {"Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n",
                                 "Content-Length: 10\r\nExpect: 100-continue\r\n"}) {
    EXPECT_EQ(answer_to_head(key + body, "/nowhere").status, 404) << body;
    const Answer method = answer_to_head(key + body, "/v1/models");
    EXPECT_EQ(method.status, 405) << body;
    EXPECT_EQ(method.headers.at("allow"), "GET, HEAD, OPTIONS");
    EXPECT_EQ(method.headers.at("connection"), "close");
    EXPECT_EQ(method.headers.count("x-request-id"), 1U);
    EXPECT_EQ(answer_to_head(key + body + "Content-Type: multipart/form-data\r\n").status, 415);
    EXPECT_EQ(answer_to_head(key + body + "Content-Encoding: gzip\r\n").status, 415);
    const Answer page = answer_to_head(key + body + "Origin: https://a.example\r\n");
    EXPECT_EQ(page.status, 415) << "a page's form";
    EXPECT_EQ(page.headers.at("access-control-allow-origin"), "https://a.example");
    EXPECT_EQ(answer_to_head(key + body, "/v1/%zz").status, 400);
  }
  EXPECT_EQ(answer_to_head(key + "Content-Length: 99000000\r\n").status, 413);
}

}  // namespace
}  // namespace openllm::contract
