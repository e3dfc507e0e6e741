// Requests as bytes: their bounds, and what RFC 9112 forbids.

#include "server/http/request_reader.h"

#include <gmock/gmock.h>

#include <utility>

namespace openllm::server {
namespace {

using ::testing::HasSubstr;

struct Reading {
  int status = 0;  ///< Of the refusal; 0: none.
  std::string what{};
  bool is_done = false;
  std::size_t n_left = 0;  ///< Bytes that were not taken.
  HttpRequest request{};
};

/// Gives the bytes in pieces of that size.
Reading read(std::string bytes, std::size_t step, const RequestReader::Limits& limits = {}) {
  RequestReader reader(limits);
  std::string buffer;
  while (!bytes.empty() && !reader.is_done()) {
    buffer += bytes.substr(0, step);
    bytes.erase(0, step);
    for (std::size_t n = 1; n > 0 && !buffer.empty() && !reader.is_done();) {
      n = reader.put(buffer);
      buffer.erase(0, n);
      if (reader.problem().status != 0) return {reader.problem().status, reader.problem().what};
    }
  }
  Reading reading;
  reading.is_done = reader.is_done();
  reading.n_left = buffer.size() + bytes.size();
  reading.request = reading.is_done ? reader.take() : reader.head();
  return reading;
}

/// The status that a request is refused with, the same whole and in pieces; -1 if it is not whole.
int status_of(const std::string& bytes, const RequestReader::Limits& limits = {}) {
  const Reading whole = read(bytes, bytes.size(), limits);
  const Reading pieces = read(bytes, 7, limits);
  EXPECT_EQ(whole.status, pieces.status) << bytes.substr(0, 200);
  EXPECT_EQ(whole.is_done, pieces.is_done) << bytes.substr(0, 200);
  return whole.status != 0 ? whole.status : whole.is_done ? 0 : -1;
}

std::string get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string post(const std::string& fields, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

TEST(RequestReader, TakesOneRequestAndLeavesTheNext) {
  const std::string first = post("Content-Length: 3\r\nX-A: b\r\n", "abc");
  const Reading reading = read(first + get("/next"), 1'000'000);
  ASSERT_TRUE(reading.is_done);
  EXPECT_EQ(reading.n_left, get("/next").size());
  EXPECT_EQ(reading.request.method, "POST");
  EXPECT_EQ(reading.request.body, "abc");
  EXPECT_EQ(reading.request.headers.find("x-a"), "b");
  EXPECT_TRUE(reading.request.keep_alive);
  EXPECT_FALSE(reading.request.is_http10);
  EXPECT_EQ(status_of(first), 0);
  EXPECT_EQ(status_of(first.substr(0, first.size() - 1)), -1);
}

TEST(RequestReader, TheHeadIsBoundedToTheByte) {
  RequestReader::Limits limits;
  limits.head_bytes = 1000;
  const std::size_t rest = get("/", "X: \r\n").size();
  const auto with_size = [&](std::size_t size) {
    return get("/", "X: " + std::string(size - rest, 'x') + "\r\n");
  };
  ASSERT_EQ(with_size(1000).size(), 1000U);
  EXPECT_EQ(status_of(with_size(1000), limits), 0);
  EXPECT_EQ(status_of(with_size(1001), limits), 431);
  EXPECT_EQ(status_of(with_size(100'000), limits), 431);
  EXPECT_EQ(read(with_size(1000) + std::string(5000, 'x'), 1'000'000, limits).status, 0)
      << "what follows the head is not part of it";
  std::string many = "X: y\r\n";
  while (many.size() < 100'000) many += many;
  EXPECT_EQ(status_of(get("/", many)), 431);
  EXPECT_EQ(status_of(get("/", "X: " + std::string(70'000, ' ') + "\r\n")), 431) << "spaces count";
}

TEST(RequestReader, FieldsAndTargetsAreBounded) {
  RequestReader::Limits limits;
  limits.n_fields = 4;
  limits.target_bytes = 20;
  EXPECT_EQ(status_of(get("/", "A: 1\r\nB: 2\r\nC: 3\r\n"), limits), 0);
  EXPECT_EQ(status_of(get("/", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"), limits), 431);
  EXPECT_EQ(status_of(get("/" + std::string(19, 'a')), limits), 0);
  EXPECT_EQ(status_of(get("/" + std::string(20, 'a')), limits), 414);
  EXPECT_EQ(status_of(get("/?" + std::string(20, 'a')), limits), 414);
  EXPECT_EQ(status_of("GET /" + std::string(70'000, 'a')), 414) << "without an end";
}

TEST(RequestReader, BodiesAreBounded) {
  RequestReader::Limits limits;
  limits.body_bytes = 10;
  EXPECT_EQ(status_of(post("Content-Length: 10\r\n", "0123456789"), limits), 0);
  EXPECT_EQ(status_of(post("Content-Length: 11\r\n", ""), limits), 413);
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  EXPECT_EQ(status_of(post(chunked, "a\r\n0123456789\r\n0\r\n\r\n"), limits), 0);
  EXPECT_EQ(status_of(post(chunked, "5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n"), limits), 413);
}

TEST(RequestReader, WhereABodyEndsMustBeCertain) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  EXPECT_EQ(status_of(post(chunked, "3\r\nabc\r\n0\r\n\r\n")), 0);
  EXPECT_EQ(status_of(post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n")), 0);
  EXPECT_EQ(status_of(post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 3, 3\r\n", "abc")), 400);
  EXPECT_EQ(status_of(post("Content-Length: +3\r\n", "abc")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 0x3\r\n", "abc")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 99999999999999999999\r\n", "abc")), 400);
  EXPECT_EQ(status_of(post(chunked + "Content-Length: 3\r\n", "abc")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 3\r\n" + chunked, "abc")), 400);
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked"}) {
    const int status =
        status_of(post("Transfer-Encoding: " + std::string(coding) + "\r\n", "0\r\n\r\n"));
    EXPECT_TRUE(status == 400 || status == 501) << coding << status;
  }
  EXPECT_EQ(status_of(post(chunked + chunked, "0\r\n\r\n")), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\n" + chunked + "\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post(chunked, "zz\r\n")), 400);
}

TEST(RequestReader, FieldsAreOneLineEach) {
  EXPECT_EQ(status_of(get("/", "X : y\r\n")), 400) << "a space before the colon";
  EXPECT_EQ(status_of(get("/", " X: y\r\n")), 400) << "begins as the rest of the line before";
  EXPECT_EQ(status_of(get("/", "X: a\r\n b\r\n")), 400) << "folded";
  EXPECT_EQ(status_of(get("/", "X\r\n")), 400);
  EXPECT_EQ(status_of(get("/", std::string("X: a\0b\r\n", 8))), 400);
  EXPECT_EQ(status_of(get("/", "X: a\rb\r\n")), 400);
}

TEST(RequestReader, OneHost) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

TEST(RequestReader, ExpectationsThatNobodyMeetsAreRefused) {
  const std::string body = "Content-Length: 2\r\n";
  EXPECT_EQ(status_of(post("Expect: tea\r\n" + body, "{}")), 417);
  EXPECT_EQ(status_of(post("Expect: tea\r\n", "")), 417);
  EXPECT_EQ(status_of(post("Expect: 100-continue, tea\r\n" + body, "{}")), 417);
  EXPECT_EQ(status_of(post("Expect: 100-continue\r\nExpect: tea\r\n" + body, "{}")), 417);
  EXPECT_EQ(status_of(post("Expect: 100-Continue\r\n" + body, "{}")), 0);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nExpect: tea\r\n" + body + "\r\n{}"), 0);
  RequestReader reader({});
  (void)reader.put(post("Expect: 100-continue\r\n" + body, ""));
  EXPECT_TRUE(reader.is_expecting());
  EXPECT_TRUE(reader.has_long_body_ahead());
  (void)reader.put("{}");
  EXPECT_TRUE(reader.is_done());
  EXPECT_FALSE(reader.is_expecting());
}

TEST(RequestReader, FieldsBehindTheBodyAreDropped) {
  const Reading reading = read(
      post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"),
      1'000'000);
  ASSERT_TRUE(reading.is_done);
  EXPECT_EQ(reading.request.body, "{}");
  EXPECT_FALSE(reading.request.headers.contains("Authorization"));
}

TEST(RequestReader, WhetherTheConnectionStays) {
  const auto stays = [](const std::string& bytes) { return read(bytes, 100).request.keep_alive; };
  EXPECT_TRUE(stays(get("/")));
  EXPECT_FALSE(stays(get("/", "Connection: close\r\n")));
  EXPECT_FALSE(stays(get("/", "Connection: x, Close\r\n")));
  EXPECT_FALSE(stays("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(stays("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestTarget, AllFormsGivePathAndQuery) {
  const auto parts = [](const std::string& target) {
    HttpRequest request;
    set_target(request, target);
    return std::pair(request.path, request.query);
  };
  using Parts = std::pair<std::string, std::string>;
  EXPECT_EQ(parts("/a/b?c=d?e"), Parts("/a/b", "c=d?e"));
  EXPECT_EQ(parts("http://host:1/a?b"), Parts("/a", "b"));
  EXPECT_EQ(parts("http://host"), Parts("/", ""));
  EXPECT_EQ(parts("http://host?b=/c"), Parts("/", "b=/c"));
  EXPECT_EQ(parts("/a?u=http://b"), Parts("/a", "u=http://b"));
  EXPECT_EQ(parts("*"), Parts("*", ""));
  EXPECT_EQ(parts("/a?"), Parts("/a", ""));
}

TEST(RequestReader, ALongBodyIsOneOfMoreThan64KiBOrOfUnknownLength) {
  const auto is_long = [](const std::string& fields) {
    RequestReader reader({});
    reader.put(post(fields, ""));
    EXPECT_TRUE(reader.has_head());
    return reader.has_long_body_ahead();
  };
  EXPECT_FALSE(is_long("Content-Length: 65536\r\n"));
  EXPECT_TRUE(is_long("Content-Length: 65537\r\n"));
  EXPECT_TRUE(is_long("Transfer-Encoding: chunked\r\n"));
  EXPECT_TRUE(is_long("Content-Length: 1\r\nExpect: 100-continue\r\n"));
  EXPECT_FALSE(is_long("")) << "no body";
}

TEST(RequestReader, AHeadInPiecesIsCountedWhole) {
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += "X-Line: 0123456789\r\n";
  const std::string request = get("/", lines);
  for (const std::size_t step : {1U, 20U, 100U}) {
    EXPECT_EQ(read(request, step, {.head_bytes = request.size()}).status, 0) << step;
    EXPECT_EQ(read(request, step, {.head_bytes = request.size() - 1}).status, 431) << step;
  }
}

}  // namespace
}  // namespace openllm::server
