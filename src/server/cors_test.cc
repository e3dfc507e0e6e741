#include "server/cors.h"

#include <gmock/gmock.h>

#include "openllm/error.h"

namespace openllm::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Headers asked_by(std::string_view origin) {
  Headers headers;
  headers.add("Host", "127.0.0.1:3000");
  if (!origin.empty()) headers.add("oRIGIN", origin);
  return headers;
}

/// The answer's Access-Control-Allow-Origin.
std::string allowed(const Cors& cors, std::string_view origin) {
  Headers answer;
  cors.add_headers(asked_by(origin), answer);
  return std::string(answer.find("Access-Control-Allow-Origin"));
}

std::string refusal(const std::string& origin) {
  try {
    const Cors cors({"https://fine", origin});
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
}

TEST(Cors, WithoutOriginsNothingIsSaid) {
  const Cors cors({});
  Headers answer;
  cors.add_headers(asked_by("https://page"), answer);
  EXPECT_TRUE(answer.fields().empty());
}

TEST(Cors, OnlyListedOriginsAreNamed) {
  const Cors cors({"https://page.example", "http://LOCALHOST:8080", "http://a:80", "https://b:443",
                   "http://[::1]:5173", "https://[::1]", "http://c:443", "chrome-extension://abc"});
  for (const char* origin :
       {"https://page.example", "http://localhost:8080", "http://a", "https://b",
        "http://[::1]:5173", "https://[::1]", "http://c:443", "chrome-extension://abc"}) {
    EXPECT_EQ(allowed(cors, origin), origin);
  }
  for (const char* origin :
       {"", "null", "*", "http://page.example", "https://page.example:444", "https://page.example.",
        "https://page.exampl", "https://evil.page.example", "http://localhost", "http://a:81"}) {
    EXPECT_EQ(allowed(cors, origin), "") << origin;
    Headers answer;
    cors.add_headers(asked_by(origin), answer);
    EXPECT_EQ(answer.find("Vary"), "Origin") << "a cache must not give it to other origins";
  }
}

TEST(Cors, PortsHaveUpToFiveDigits) {
  for (const std::string port : {"1", "8080", "12345", "65535"}) {
    const std::string origin = "http://a.example:" + port;
    EXPECT_EQ(allowed(Cors({origin}), origin), origin);
  }
}

TEST(Cors, AnyOrigin) {
  const Cors cors({"https://page", "*"});
  Headers answer;
  cors.add_headers(asked_by("null"), answer);
  EXPECT_EQ(answer.find("Access-Control-Allow-Origin"), "*");
  EXPECT_FALSE(answer.contains("Vary"));
  EXPECT_EQ(allowed(cors, ""), "*") << "so that answers may be cached for all";
}

TEST(Cors, WhatNoBrowserSendsIsRefused) {
  for (const char* origin : {"",
                             " ",
                             "null",
                             "example.com",
                             "localhost:3000",
                             "https://",
                             "https:///",
                             "://a",
                             "1a://b",
                             "https://a/",
                             "https://a/b",
                             "https://a?b",
                             "https://a#b",
                             "https://u@a",
                             "https://a b",
                             "https://*.a",
                             "https://*",
                             "https://a:",
                             "https://a:0",
                             "https://a:99999",
                             "https://a:08",
                             "https://a:b",
                             "https://a:1:2",
                             "https://[::1",
                             "https://[]",
                             "https://a]",
                             "https://::1",
                             "https://a\r\nX: y",
                             "https://\xC3\xA4.de",
                             "https://a,https://b"}) {
    EXPECT_THAT(refusal(origin), HasSubstr("allowed_origins: not an origin")) << origin;
  }
  EXPECT_THAT(refusal("https://a/\x1B[2J"),
              AllOf(HasSubstr("https://a/?[2J"), Not(HasSubstr("\x1B"))));
  EXPECT_LT(refusal(std::string(100'000, 'a')).size(), 400U);
  EXPECT_EQ(refusal("tauri://localhost"), "");
}

TEST(Cors, Preflight) {
  const Cors cors({"https://page"});
  HttpRequest request;
  request.method = "OPTIONS";
  request.headers = asked_by("https://page");
  EXPECT_FALSE(cors.answer_preflight(request)) << "not a browser's question";
  request.headers.add("Access-Control-Request-Method", "POST");
  auto answer = cors.answer_preflight(request);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 204);
  EXPECT_THAT(std::string(answer->headers.find("Access-Control-Allow-Methods")), HasSubstr("POST"));
  EXPECT_EQ(answer->headers.find("Access-Control-Allow-Headers"), "Authorization, Content-Type");
  EXPECT_EQ(answer->headers.find("Access-Control-Max-Age"), "7200");
  request.headers.add("Access-Control-Request-Headers",
                      "authorization,content-type,x-stainless-os");
  EXPECT_EQ(cors.answer_preflight(request)->headers.find("Access-Control-Allow-Headers"),
            "authorization,content-type,x-stainless-os");
  request.method = "POST";
  EXPECT_FALSE(cors.answer_preflight(request));
  request.method = "OPTIONS";
  EXPECT_FALSE(Cors({"https://other"}).answer_preflight(request));
  EXPECT_FALSE(Cors({}).answer_preflight(request));
  request.headers = asked_by("https://page");
  request.headers.add("Access-Control-Request-Method", "POST");
  request.headers.add("Access-Control-Request-Headers", "a\x80\tb(");
  EXPECT_EQ(cors.answer_preflight(request)->headers.find("Access-Control-Allow-Headers"),
            "Authorization, Content-Type");
}

}  // namespace
}  // namespace openllm::server
