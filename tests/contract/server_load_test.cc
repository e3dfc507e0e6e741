// What a server does when more is asked for than it can do at once.

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http_probe.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

constexpr const char* kEndless = R"(,"max_tokens":400,"ignore_eos":true})";

/// `n` prompts as a JSON list.
std::string prompts(int n) {
  std::string list = "[\"Once\"";
  for (int i = 1; i < n; ++i) list += ",\"Once\"";
  return list + "]";
}

std::string batch(int n_prompts, int n, const std::string& rest = R"(,"max_tokens":1})") {
  return R"({"prompt":)" + prompts(n_prompts) + R"(,"n":)" + std::to_string(n) + rest;
}

class ServerLoad : public ServerTest {
 protected:
  /// Without a limit of waiting unless the options have one: the tests are about places.
  void start_small(int max_sequences, int max_queue,
                   const ServerOptions& options = {.max_wait_s = 0.0}) {
    LoadOptions load;
    load.max_sequences = max_sequences;
    load.max_queue = max_queue;
    llm_ = make_llm(load);
    start(options);
  }
  /// The value of a metric, without or with labels as they are written.
  double metric(const std::string& name) const {
    const std::string text = ask(get("/metrics")).body;
    const std::size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return -1.0;
    return std::stod(text.substr(at + name.size() + 2));
  }
};

TEST_F(ServerLoad, ABatchUpToTheLimitIsTakenWhole) {
  start_small(8, 4);
  for (int i = 0; i < 3; ++i) {
    const Answer whole = complete(batch(11, 1));
    ASSERT_EQ(whole.status, 200) << whole.body;
    EXPECT_EQ(whole.json().find("choices")->if_array()->size(), 11U);
    EXPECT_EQ(complete(batch(5, 2)).status, 200);
    EXPECT_EQ(complete(R"({"prompt":"Once","max_tokens":1})").status, 200) << "a small one after";
    EXPECT_TRUE(eventually([&] { return is_idle(); }));
  }
}

TEST_F(ServerLoad, ABatchThatNeverFitsIsAWrongRequestWhateverRuns) {
  start_small(8, 4);
  const auto expect_hopeless = [&] {
    for (const auto& [body, param] :
         {std::pair{batch(12, 1), "prompt"}, std::pair{batch(6, 2), "prompt"},
          std::pair{batch(1, 12), "prompt"}, std::pair{batch(12, 1, kEndless), "prompt"}}) {
      const Answer answer = complete(body);
      EXPECT_EQ(answer.status, 400) << answer.body;
      EXPECT_THAT(str(answer.json(), {"error", "message"}), HasSubstr("at most 11,"));
      EXPECT_EQ(answer.headers.count("retry-after"), 0U) << "it would be no use";
    }
  };
  expect_hopeless();
  EXPECT_EQ(complete(R"({"prompt":"Once","max_tokens":1})").status, 200) << "nothing is left of it";
  Probe busy(port());
  busy.send(post("/v1/completions", batch(1, 11, kEndless)));
  ASSERT_TRUE(eventually([&] { return llm_.stats().n_running > 0; }));
  expect_hopeless();
}

TEST_F(ServerLoad, AFullServerSaysSoAndStaysReady) {
  start_small(1, 99);
  {
    Probe first(port());
    first.send(post("/v1/completions", batch(1, 88, kEndless)));
    ASSERT_TRUE(eventually([&] { return llm_.stats().n_waiting >= 80; }));
    const Answer full = complete(batch(1, 88));
    ASSERT_EQ(full.status, 429) << full.body;
    const int seconds = std::stoi(full.headers.at("retry-after"));
    EXPECT_GE(seconds, 1);
    EXPECT_LE(seconds, 60);
    const double exact = std::stod(full.headers.at("retry-after-ms")) / 1000;
    EXPECT_GT(exact, 0.0);
    EXPECT_LE(exact, seconds) << "both say the same";
    EXPECT_GT(exact, seconds > 1 ? seconds - 1 : 0);
    EXPECT_EQ(ask(get("/healthz")).status, 200);
    EXPECT_EQ(ask(get("/readyz")).status, 200);
    EXPECT_EQ(metric("openllm_requests_refused_total{reason=\"queue\"}"), 1.0);
    EXPECT_EQ(metric("openllm_requests_refused_total{reason=\"wait\"}"), 0.0);
    EXPECT_EQ(metric("openllm_sequences_max"), 100.0);
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  EXPECT_EQ(complete(R"({"prompt":"Once","max_tokens":1})").status, 200);
}

TEST_F(ServerLoad, AStormOfClientsThatLeaveFreesEveryPlace) {
  start_small(4, 32);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Probe>> probes;
    for (int i = 0; i < 40; ++i) {
      const std::string stream = i % 2 == 0 ? R"(,"stream":true)" : "";
      const std::string body =
          i % 5 == 0 ? batch(3, 2, stream + kEndless) : R"({"prompt":"Once")" + stream + kEndless;
      probes.push_back(std::make_unique<Probe>(port()));
      probes.back()->send(post("/v1/completions", body));
      if (i % 7 == 0) probes[probes.size() / 2]->close();
    }
    ASSERT_TRUE(eventually([&] { return llm_.stats().n_running > 0; }));
    probes.clear();
    EXPECT_TRUE(eventually([&] { return is_idle(); }));
  }
  // What clients sent before they left may still be read.
  EXPECT_TRUE(eventually([&] {
    return metric("openllm_sequences_running") == 0.0 &&
           metric("openllm_sequences_waiting") == 0.0 &&
           metric("openllm_cache_blocks_free") == metric("openllm_cache_blocks");
  }));
  EXPECT_EQ(complete(batch(8, 4)).status, 200) << "all places are free";
}

TEST_F(ServerLoad, OneThatWouldWaitTooLongIsRefusedBeforeItBegins) {
  start_small(1, 200, {.max_wait_s = 1e-9});
  {
    Probe first(port());
    first.send(post("/v1/completions", batch(1, 100, kEndless)));
    ASSERT_TRUE(eventually([&] { return llm_.stats().estimated_wait_s > 0.0; }));
    for (const char* rest : {"}", R"(,"stream":true})", R"(,"n":3,"max_tokens":1})"}) {
      const Answer busy = complete(R"({"prompt":"Once")" + std::string(rest));
      ASSERT_EQ(busy.status, 429) << busy.body;
      EXPECT_GE(std::stoi(busy.headers.at("retry-after")), 1);
      EXPECT_GT(std::stoi(busy.headers.at("retry-after-ms")), 0);
      EXPECT_EQ(str(busy.json(), {"error", "type"}), "rate_limit_error");
    }
    EXPECT_EQ(chat(std::string(kHi) + "}").status, 429);
    EXPECT_EQ(ask(post("/v1/generate", R"({"prompt":"Once"})")).status, 429);
    EXPECT_EQ(metric("openllm_requests_refused_total{reason=\"wait\"}"), 5.0);
    EXPECT_GT(metric("openllm_estimated_wait_seconds"), 0.0);
    EXPECT_EQ(ask(get("/readyz")).status, 200) << "it is well, it has much to do";
  }
  ASSERT_TRUE(eventually([&] { return is_idle(); }));
  EXPECT_EQ(complete(std::string(kGreedy) + "}").status, 200) << "there is nothing to wait for";
}

TEST_F(ServerLoad, TimesOfRequestsAreCounted) {
  start_small(4, 4);
  const auto counts = [&] {
    std::vector<double> values;
    for (const char* name : {"request_queue_time", "time_to_first_token", "time_per_output_token",
                             "e2e_request_latency"}) {
      values.push_back(metric("openllm_" + std::string(name) + "_seconds_count"));
      EXPECT_EQ(metric("openllm_" + std::string(name) + "_seconds_bucket{le=\"+Inf\"}"),
                values.back());
    }
    return values;
  };
  EXPECT_EQ(counts(), (std::vector<double>{0, 0, 0, 0}));
  EXPECT_EQ(complete(R"({"prompt":"Once","max_tokens":4,"ignore_eos":true})").status, 200);
  EXPECT_EQ(counts(), (std::vector<double>{1, 1, 1, 1}));
  EXPECT_EQ(complete(R"({"prompt":"Once","max_tokens":1})").status, 200);
  EXPECT_EQ(counts(), (std::vector<double>{2, 2, 1, 2})) << "one token has no next one";
  EXPECT_EQ(complete(batch(3, 1, R"(,"max_tokens":4,"ignore_eos":true,"stream":true})")).status,
            200);
  EXPECT_EQ(counts(), (std::vector<double>{5, 5, 4, 5})) << "each prompt counts";
  EXPECT_EQ(complete(R"({"prompt":"Once","n":0})").status, 400);
  EXPECT_EQ(counts(), (std::vector<double>{5, 5, 4, 5}));
  EXPECT_GE(metric("openllm_e2e_request_latency_seconds_sum"),
            metric("openllm_time_to_first_token_seconds_sum"));
}

TEST_F(ServerLoad, ABatchLeavesPlacesToSmallRequests) {
  start_small(2, 62);
  Probe first(port());
  first.send(post("/v1/completions", batch(1, 56, kEndless)));
  ASSERT_TRUE(eventually([&] { return llm_.stats().n_waiting >= 50; }));
  EXPECT_EQ(complete(batch(9, 1)).status, 429);
  EXPECT_EQ(complete(R"({"prompt":"Once","max_tokens":1})").status, 200);
}

TEST_F(ServerLoad, OneWhoseTimeIsTooShortForTheQueueIsRefusedAtOnce) {
  start_small(1, 200);
  std::vector<std::unique_ptr<Probe>> queue;
  for (int i = 0; i < 40; ++i) {
    queue.push_back(std::make_unique<Probe>(port()));
    queue.back()->send(post("/v1/completions", batch(1, 1, kEndless)));
  }
  // So many long answers take more than some milliseconds on every machine.
  ASSERT_TRUE(eventually(
      [&] { return llm_.stats().n_requests == 40 && llm_.stats().estimated_wait_s > 0.01; }));
  for (const char* rest : {R"("timeout":0.001})", R"("timeout":0.001,"stream":true})"}) {
    const Answer busy = complete(R"({"prompt":"Once",)" + std::string(rest));
    ASSERT_EQ(busy.status, 429) << busy.body;
    EXPECT_GE(std::stoi(busy.headers.at("retry-after")), 1);
  }
  EXPECT_EQ(ask(post("/v1/generate", R"({"prompt":"a","llm_config":{"timeout":0.001}})")).status,
            429);
  EXPECT_EQ(metric("openllm_requests_refused_total{reason=\"wait\"}"), 3.0);
  EXPECT_EQ(llm_.stats().n_requests, 40) << "the engine had none of them";
}

TEST_F(ServerLoad, LongBodiesOfRequestsThatWouldBeRefusedAreNotRead) {
  start_small(1, 100, {.header_timeout_s = 3, .max_wait_s = 1e-9});
  const auto status_of_head = [&](const std::string& path) {
    Probe probe(port());
    probe.send("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    return probe.read_answer();
  };
  Probe first(port());
  first.send(post("/v1/completions", batch(1, 80, kEndless)));
  ASSERT_TRUE(eventually([&] { return llm_.stats().estimated_wait_s > 0.0; }));
  for (const char* path : {"/v1/completions", "/v1/generate_stream"}) {
    const Answer busy = status_of_head(path);
    EXPECT_EQ(busy.status, 429) << busy.body;
    EXPECT_GE(std::stoi(busy.headers.at("retry-after")), 1);
    EXPECT_GT(std::stoi(busy.headers.at("retry-after-ms")), 0);
  }
  EXPECT_EQ(metric("openllm_requests_refused_total{reason=\"wait\"}"), 2.0);
  EXPECT_EQ(metric("openllm_http_requests_total{route=\"/v1/completions\",status=\"429\"}"), 1.0);
  EXPECT_EQ(status_of_head("/nowhere").status, 404);
}

TEST_F(ServerLoad, TheEngineJudgesWhoHasNothingElseThere) {
  start_small(1, 200, {.api_keys = {"loud", "quiet"}, .max_wait_s = 1e-9});
  const auto message = [&](const std::string& key) {
    const Answer answer = ask(post("/v1/completions", R"({"prompt":"Once","max_tokens":1})",
                                   "Authorization: Bearer " + key + "\r\n"));
    return answer.status == 200 ? "none" : str(answer.json(), {"error", "message"});
  };
  Probe first(port());
  first.send(post("/v1/completions", batch(1, 100, kEndless), "Authorization: Bearer loud\r\n"));
  ASSERT_TRUE(eventually([&] { return llm_.stats().estimated_wait_s > 0.0; }));
  EXPECT_THAT(message("loud"), HasSubstr("server: too many requests wait"));
  // It knows whose turn it is, which the estimate for everybody does not tell.
  EXPECT_THAT(message("quiet"), ::testing::Not(HasSubstr("server: too many requests wait")));
}

TEST_F(ServerLoad, AKeyThatHasItsShareIsToldApart) {
  start_small(1, 199, {.api_keys = {"loud", "quiet"}, .max_wait_s = 0.0});
  const std::string loud = "Authorization: Bearer loud\r\n";
  std::vector<std::unique_ptr<Probe>> flood;
  for (const int n : {120, 50}) {  // of the 175 places that one key may have
    flood.push_back(std::make_unique<Probe>(port()));
    flood.back()->send(post("/v1/completions", batch(1, n, kEndless), loud));
  }
  ASSERT_TRUE(eventually([&] { return llm_.stats().n_running + llm_.stats().n_waiting >= 160; }));
  const Answer refused = ask(post("/v1/completions", batch(1, 20), loud));
  EXPECT_EQ(refused.status, 429) << refused.body;
  EXPECT_EQ(str(refused.json(), {"error", "code"}), "rate_limit_exceeded");
  EXPECT_THAT(str(refused.json(), {"error", "message"}), HasSubstr("this API key has all places"));
  EXPECT_EQ(str(refused.json(), {"error", "param"}), "null");
  const std::string metrics = ask(get("/metrics", loud)).body;
  for (const char* line :
       {"{reason=\"share\"} 1\n", "{reason=\"wait\"} 0\n", "{reason=\"queue\"} 0\n"})
    EXPECT_THAT(metrics, HasSubstr(std::string("openllm_requests_refused_total") + line));
}

TEST_F(ServerLoad, AFloodOfOneKeyDoesNotHoldUpAnother) {
  start_small(8, 100, {.api_keys = {"loud", "quiet"}, .max_wait_s = 0.0});
  const std::string loud = "Authorization: Bearer loud\r\n";
  const std::string quiet = "Authorization: Bearer quiet\r\n";
  std::vector<std::unique_ptr<Probe>> flood;
  for (int i = 0; i < 24; ++i) {
    flood.push_back(std::make_unique<Probe>(port()));
    flood.back()->send(post("/v1/completions", batch(1, 4, kEndless), loud));
  }
  ASSERT_TRUE(eventually([&] { return llm_.stats().n_waiting >= 60; }));
  const Answer answer = ask(post("/v1/completions", R"({"prompt":"Once","max_tokens":2})", quiet));
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_GE(llm_.stats().n_waiting, 40) << "it did not wait for the others";
}

TEST_F(ServerLoad, ALongestWaitOfNothingIsRefusedAtTheStart) {
  for (const double wrong : {-1.0, 1e7, std::numeric_limits<double>::quiet_NaN()}) {
    ServerOptions options;
    options.max_wait_s = wrong;
    try {
      const Server server(llm_, options);
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace openllm::contract
