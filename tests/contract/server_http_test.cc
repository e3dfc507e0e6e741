// The HTTP contract of the server: messages and connections, broken ones too.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST_F(ServerTest, KeepAlivePipeliningHeadAndOptions) {
  start();
  Probe probe(port());
  probe.send(get("/healthz") + post("/v1/completions", std::string(kGreedy) + "}") +
             get("/version") + "HEAD /version HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(probe.read_answer().body, HasSubstr("ok"));
  EXPECT_THAT(probe.read_answer().body, HasSubstr("text_completion"));
  const Answer version = probe.read_answer();
  EXPECT_THAT(version.body, HasSubstr("version"));
  const Answer head = probe.read_answer(true);
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(version.body.size()));
  probe.send("OPTIONS /v1/models HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n");
  const Answer options = probe.read_answer();
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.headers.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(options.headers.at("x-request-id"), "mine");
  probe.send("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_EQ(probe.read_answer().headers.at("connection"), "close");
  EXPECT_TRUE(probe.is_closed_by_server());
}

TEST_F(ServerTest, ChunkedBodiesAndExpect) {
  start();
  Probe probe(port());
  probe.send(
      "POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
      "100-continue\r\n\r\n");
  EXPECT_EQ(probe.read_answer().status, 100);
  probe.send("10\r\n{\"prompt\":\"Once\"\r\n");
  probe.send("10\r\n,\"max_tokens\":2}\r\n0\r\n\r\n");
  EXPECT_EQ(probe.read_answer().status, 200);
  probe.send(get("/healthz", "Expect: miracles\r\nContent-Length: 5\r\n"));
  EXPECT_EQ(probe.read_answer().status, 417);
  Probe old(port());  // HTTP/1.0 has no interim answers
  old.send("POST /v1/completions HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{");
  old.send("}");
  EXPECT_EQ(old.read_answer().status, 400);
}

/// Large bodies are read on a thread of their own: nothing else may differ.
TEST_F(ServerTest, LargeBodiesAreAnsweredAsSmallOnes) {
  start();
  const std::string junk = R"(,"metadata":{"a":")" + std::string(200'000, 'x') + "\"}";
  const auto text = [](const Answer& answer) {
    return str(answer.json(), {"choices", "0", "text"});
  };
  const Answer small = complete(std::string(kGreedy) + "}");
  const Answer large = complete(kGreedy + junk + "}");
  ASSERT_EQ(large.status, 200) << large.body;
  EXPECT_EQ(text(large), text(small));
  const auto content = [](const Answer& answer) {
    return str(answer.json(), {"choices", "0", "message", "content"});
  };
  EXPECT_EQ(content(chat(kHi + junk + "}")), content(chat(std::string(kHi) + "}")));
  const auto error = [](const Answer& answer) { return str(answer.json(), {"error", "param"}); };
  EXPECT_EQ(error(complete(kGreedy + junk + R"(,"top_p":7})")), "top_p");
  EXPECT_EQ(complete(kGreedy + junk).status, 400) << "no end";
  // Two at once on one connection, and one that nobody waits for.
  Probe probe(port());
  probe.send(post("/v1/completions", kGreedy + junk + "}"));
  probe.send(post("/v1/completions", kGreedy + junk + R"(,"top_p":7})"));
  EXPECT_EQ(probe.read_answer().status, 200);
  EXPECT_EQ(probe.read_answer().status, 400);
  probe.send(post("/v1/completions", kGreedy + junk + "}"));
  probe.close();
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  EXPECT_EQ(complete(std::string(kGreedy) + "}").status, 200);
}

TEST_F(ServerTest, BrokenHttpIsRefused) {
  ServerOptions options;
  options.max_body_bytes = 1000;
  start(options);
  EXPECT_EQ(ask("HELLO\r\n\r\n").status, 400);
  EXPECT_EQ(ask("GET / HTTP/1.1\r\n\r\n").status, 400);                        // no Host
  EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status, 400);  // two
  EXPECT_EQ(ask("GET / HTTP/3.7\r\nHost: a\r\n\r\n").status, 505);
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n").status, 400);
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
                .status,
            400);
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
                "chunked\r\n\r\n0\r\n\r\n")
                .status,
            400);
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n").status,
            400);
  // Codings whose end cannot be told: what follows must not become a request of its own.
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, gzip", "x"}) {
    Probe probe(port());
    probe.send("POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " +
               std::string(coding) + "\r\n\r\n" + get("/healthz"));
    EXPECT_THAT(probe.read_answer().status, AnyOf(400, 501)) << coding;
    EXPECT_TRUE(probe.is_closed_by_server()) << coding;
  }
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: "
                "chunked\r\n\r\n0\r\n\r\n")
                .status,
            501);
  EXPECT_EQ(ask(get("/healthz", "X-Big: " + std::string(70'000, 'x') + "\r\n")).status, 431);
  EXPECT_EQ(ask("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n").status,
            413);
  EXPECT_EQ(complete(R"({"prompt":")" + std::string(900'000, 'x') + "\"}").status, 413);
  EXPECT_EQ(ask(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\r\n\r\n", 15)).status,
            400);  // TLS
  EXPECT_EQ(ask(get("/healthz")).status, 200);
}

TEST_F(ServerTest, WhatComesAfterTheHeadIsBoundedToo) {
  ServerOptions options;
  options.header_timeout_s = 5;  // should the server wait for an end, the test ends all the same
  start(options);
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  // Fields after the last chunk, and the size of one: whole, and without an end.
  for (const std::size_t length : {70'000U, 200'000U, 1'000'000U}) {
    const std::string filler(length, '2');
    const std::string trailer = base::cat(head, "2\r\n{}\r\n0\r\nX: ", filler);
    EXPECT_EQ(ask(trailer + "\r\n\r\n").status, 431) << length;
    EXPECT_EQ(ask(trailer).status, 431) << length;
    const std::string size = base::cat(head, filler);
    EXPECT_THAT(ask(size + "\r\n").status, AnyOf(400, 431)) << length;
    EXPECT_EQ(ask(size).status, 431) << length;
  }
  EXPECT_EQ(ask(head + "2\r\n{}\r\n0\r\nX: 2\r\n\r\n").status, 400) << "no prompt";
}

TEST_F(ServerTest, RefusedHeadsHaveNoBody) {
  start();
  Probe probe(port());
  probe.send("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  EXPECT_EQ(probe.read_answer(true).status, 400);
  EXPECT_FALSE(probe.read_until("{"));
}

/// Leaves the process no file descriptor but `n_free`.
class FewDescriptors {
 public:
  explicit FewDescriptors(int n_free) {
    ::getrlimit(RLIMIT_NOFILE, &old_);
    rlimit few = old_;
    few.rlim_cur = std::min<rlim_t>(old_.rlim_cur, 256);
    ::setrlimit(RLIMIT_NOFILE, &few);
    const auto take = [] { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); };
    for (int fd = take(); fd >= 0; fd = take()) taken_.push_back(fd);
    for (; n_free > 0 && !taken_.empty(); --n_free) {
      ::close(taken_.back());
      taken_.pop_back();
    }
  }
  ~FewDescriptors() {
    for (const int fd : taken_) ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &old_);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit old_{};
  std::vector<int> taken_;
};

TEST_F(ServerTest, OutOfFileDescriptors) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizers' own checks need file descriptors, and take none for an error";
#endif
  start_loading();
  server_->wait_until_ready();  // asking would leave a connection that frees its descriptor later
  std::vector<Answer> answers;
  {
    const FewDescriptors few(1);  // for the client's end
    for (int i = 0; i < 3; ++i) answers.push_back(ask(get("/healthz")));
  }
  for (const Answer& answer : answers) {
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("out of file descriptors"));
  }
  EXPECT_TRUE(eventually([&] { return ask(get("/healthz")).status == 200; }));
}

TEST_F(ServerTest, SlowClientsAreLetGo) {
  ServerOptions options;
  options.header_timeout_s = 3;  // enough for what is sent at once
  options.idle_timeout_s = 1;
  start(options);
  Probe slow(port());
  slow.send("GET /healthz HTTP/1.1\r\nHos");
  Probe silent(port());
  Probe idle(port());
  idle.send(get("/healthz"));
  EXPECT_EQ(idle.read_answer().status, 200);
  EXPECT_EQ(slow.read_answer().status, 408);
  EXPECT_TRUE(idle.is_closed_by_now()) << "a pause may be shorter than a request";
  EXPECT_TRUE(slow.is_closed_by_server());
  EXPECT_TRUE(silent.is_closed_by_server());
}

TEST_F(ServerTest, TooManyConnections) {
  ServerOptions options;
  options.max_connections = 2;
  start(options);
  ASSERT_TRUE(eventually([&] { return ask(get("/healthz")).status == 200; }));
  Probe one(port());
  one.send(get("/healthz"));
  EXPECT_EQ(one.read_answer().status, 200);
  Probe two(port());
  two.send(get("/healthz"));
  EXPECT_EQ(two.read_answer().status, 200);
  EXPECT_EQ(ask(get("/healthz")).status, 503);
  two.close();
  EXPECT_TRUE(eventually([&] { return ask(get("/healthz")).status == 200; }));
}

}  // namespace
}  // namespace openllm::contract
