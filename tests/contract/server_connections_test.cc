// Connections: how long they stay, what they may send ahead, and how they end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/error.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A request in two parts.
std::pair<std::string, std::string> in_halves(const std::string& request) {
  const std::size_t half = request.size() / 2;
  return {request.substr(0, half), request.substr(half)};
}

TEST_F(ServerTest, ARequestThatHadBegunIsStillAnsweredAndIsTheLast) {
  start();
  const std::string small = R"({"prompt":"Once","max_tokens":3,"temperature":0)";
  const auto whole = in_halves(post("/v1/completions", small + "}"));
  const auto stream = in_halves(post("/v1/completions", small + R"(,"stream":true})"));
  Probe first(port());
  Probe second(port());
  Probe silent(port());
  for (Probe* probe : {&first, &second}) {  // it has been read from when it has answered once
    probe->send(get("/healthz"));
    EXPECT_EQ(probe->read_answer().headers.count("connection"), 0U);
  }
  first.send(whole.first);
  second.send(stream.first);
  // Something else goes through the server after that, so the halves are read.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(get("/healthz")).status, 200);
  const std::uint16_t here = port();
  const std::jthread stopping([&] { server_->stop(); });
  EXPECT_TRUE(eventually([&] { return !is_listening(here); }));
  EXPECT_TRUE(silent.is_closed_by_server()) << "nothing was asked for";
  first.send(whole.second);
  second.send(stream.second);
  for (Probe* probe : {&first, &second}) {
    const Answer answer = probe->read_answer();
    EXPECT_EQ(answer.status, 200) << answer.body;
    ASSERT_EQ(answer.headers.count("connection"), 1U);
    EXPECT_EQ(answer.headers.at("connection"), "close");
    EXPECT_TRUE(probe->is_closed_by_server());
  }
}

TEST_F(ServerTest, OldClientsGetAStreamThatEndsWithTheConnection) {
  start();
  const std::string body = std::string(kGreedy) + R"(,"stream":true})";
  Probe probe(port());
  probe.send("POST /v1/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: " +
             std::to_string(body.size()) + "\r\n\r\n" + body);
  const Answer answer = probe.read_answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_EQ(answer.headers.count("transfer-encoding"), 0U);
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
  EXPECT_TRUE(answer.body.starts_with("data: ")) << "no sizes of chunks";
  Probe kept(port());
  for (int i = 0; i < 2; ++i) {
    kept.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(kept.read_answer().headers.at("connection"), "keep-alive");
  }
}

TEST_F(ServerTest, EachTimeoutCountsForItsOwnWait) {
  // Requests may take long and pauses may not, and the other way round.
  Server slow(llm_, {.port = 0, .header_timeout_s = 1000, .idle_timeout_s = 3});
  Server quick(llm_, {.port = 0, .header_timeout_s = 3, .idle_timeout_s = 1000});
  slow.start();
  quick.start();
  Probe writing(slow.port());
  Probe pausing(quick.port());
  for (Probe* probe : {&writing, &pausing}) {
    probe->send(get("/healthz"));
    ASSERT_EQ(probe->read_answer().status, 200);
  }
  const auto [begin, end] = in_halves(get("/version"));
  writing.send(begin);
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));
  writing.send(end);
  pausing.send(begin + end);
  EXPECT_EQ(writing.read_answer().status, 200);
  EXPECT_EQ(pausing.read_answer().status, 200);
}

TEST_F(ServerTest, RequestsSentAheadAreAllAnswered) {
  start();
  Probe probe(port());
  std::string ahead = post("/v1/completions", std::string(kGreedy) + "}");
  constexpr int kMany = 12'000;  // more than the server keeps of them
  for (int i = 0; i < kMany; ++i) ahead += get("/healthz");
  const std::jthread sending([&] { probe.send(ahead); });
  EXPECT_THAT(probe.read_answer().body, HasSubstr("text_completion"));
  int n_answers = 0;
  while (n_answers < kMany && probe.read_answer().status == 200) ++n_answers;
  EXPECT_EQ(n_answers, kMany);
  probe.shut_down();  // should they not be read, the test ends all the same
}

TEST_F(ServerTest, WhatIsSentAheadStaysWithTheClientWhenItIsMuch) {
  const auto gate = std::make_shared<Gate>();
  LoadOptions load;
  load.progress = [gate](const std::string&, double) { gate->pass(); };
  llm_ = make_llm(load);
  start_loading();
  Probe probe(port());  // the first request waits for the model, all others for the first
  probe.send(post("/v1/completions", std::string(kGreedy) + "}"));
  constexpr std::size_t kMost = std::size_t{64} << 20U;  // far more than the buffers of sockets
  EXPECT_LT(probe.send_until_full(kMost), kMost);
  gate->release();
  EXPECT_EQ(probe.read_answer().status, 200);
}

TEST_F(ServerTest, OneWhoSentMuchAheadAndLeavesIsNoticed) {
  start();
  {
    Probe probe(port());
    probe.send(post("/v1/completions",
                    R"({"prompt":"Once","max_tokens":100000,"ignore_eos":true,"n":128})"));
    ASSERT_TRUE(eventually([&] { return llm_.stats().n_running > 0; }));
    probe.send(std::string(std::size_t{300} << 10U, 'x'));  // more than the server keeps of it
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
}

TEST_F(ServerTest, LargeEventsDoNotStopAStream) {
  start();
  std::string words = "Once";
  for (int i = 0; i < 80; ++i) words += " upon a time";
  // The first event has the logprobs of the whole prompt: more than handlers may write ahead.
  const Answer answer = complete(R"({"prompt":")" + words +
                                 R"(","echo":true,"logprobs":20,"max_tokens":100,"temperature":0,)"
                                 R"("ignore_eos":true,"stream":true,"timeout":60})");
  const std::vector<base::Json> chunks = chunks_of(answer);
  ASSERT_FALSE(chunks.empty());
  EXPECT_GT(chunks.front().dump().size(), std::size_t{32} << 10U);
  EXPECT_EQ(str(chunks.back(), {"choices", "0", "finish_reason"}), "length");
}

TEST_F(ServerTest, BodiesOfFormsAreRefusedFromEverybody) {
  start();
  const auto status = [&](const std::string& type, const std::string& more = "") {
    const std::string body = std::string(kGreedy) + "}";
    return ask("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: " + type +
               "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" + body)
        .status;
  };
  EXPECT_EQ(status("multipart/form-data; boundary=x"), 415);
  EXPECT_EQ(status("text/plain"), 200) << "clients forget the type";
  EXPECT_EQ(status("application/vnd.a+json"), 200);
  EXPECT_EQ(status("application/json", "Content-Encoding: gzip\r\n"), 415);
  EXPECT_EQ(status("application/json", "Content-Encoding: Identity\r\n"), 200);
}

TEST_F(ServerTest, AnAnswerNobodyWaitsForIsCountedAsThat) {
  start();
  const auto counted = [&](const std::string& status) {
    return ask(get("/metrics"))
               .body.find("{route=\"/v1/completions\",status=\"" + status + "\"}") !=
           std::string::npos;
  };
  for (const char* stream : {"", R"(,"stream":true)"}) {
    Probe probe(port());  // what it asks for ends soon by itself
    probe.send(
        post("/v1/completions", R"({"prompt":"Once","max_tokens":400,"ignore_eos":true,"n":128)" +
                                    std::string(stream) + "}"));
    ASSERT_TRUE(eventually([&] { return llm_.stats().n_running > 0; }));
  }
  ASSERT_TRUE(eventually([&] { return is_idle() && (counted("499") || counted("200")); }));
  EXPECT_FALSE(counted("200"));
}

TEST_F(ServerTest, TimesAndRefusedConnectionsAreCounted) {
  start({.max_connections = 1});
  const auto metrics = [&] {
    std::string text;
    EXPECT_TRUE(eventually([&] {
      const Answer answer = ask(get("/metrics"));
      text = answer.body;
      return answer.status == 200;
    }));
    return text;
  };
  EXPECT_THAT(metrics(), HasSubstr("\nopenllm_time_to_first_token_seconds_count 0\n"));
  EXPECT_THAT(metrics(), HasSubstr("\nopenllm_e2e_request_latency_seconds_count 0\n"));
  EXPECT_TRUE(eventually([&] { return complete(std::string(kGreedy) + "}").status == 200; }));
  const std::string after = metrics();
  EXPECT_THAT(after, HasSubstr("\nopenllm_time_to_first_token_seconds_count 1\n"));
  EXPECT_THAT(after, HasSubstr("\nopenllm_e2e_request_latency_seconds_count 1\n"));
  {
    std::unique_ptr<Probe> held;
    ASSERT_TRUE(eventually([&] {
      held = std::make_unique<Probe>(port());
      held->send(get("/healthz"));
      return held->read_answer().status == 200;
    }));
    EXPECT_EQ(ask(get("/healthz")).status, 503);
  }
  EXPECT_THAT(metrics(), Not(HasSubstr("\nopenllm_http_connections_rejected_total 0\n")));
}

}  // namespace
}  // namespace openllm::contract
