// Answers that go on at another server: which may, and when a server that says nothing is given up.

#include <gmock/gmock.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "backend/vllm/remote.h"
#include "engine/fake_runner.h"
#include "fake_server.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr const char* kModel = OPENLLM_TEST_DATA "/stories260K/hf";

std::string event_of(std::int32_t token) {
  const std::string id = std::to_string(token);
  return R"({"choices":[{"index":0,"text":"","token_ids":[)" + id +
         R"(],"logprobs":{"tokens":["token_id:)" + id +
         R"("],"token_logprobs":[-1.0],"top_logprobs":[null]}}]})";
}

/// Has the model, gives the first three tokens of an answer, and breaks.
class BrokenServer {
 public:
  /// `owner`: as /v1/models tells it; servers of ours repeat what a seed gives.
  BrokenServer(Ids ids, const std::string& owner)
      : server_([ids = std::move(ids), owner](const std::string& request) {
          if (request.starts_with("GET /v1/models")) {
            return FakeServer::Reply{http_reply(
                200, "application/json",
                R"({"data":[{"id":"hf","max_model_len":512,"owned_by":")" + owner + R"("}]})")};
          }
          if (request.starts_with("GET")) return FakeServer::Reply{http_reply(200, "x/y", "")};
          return FakeServer::Reply{
              event_reply({event_of(ids[0]), event_of(ids[1]), event_of(ids[2])})};
        }) {}
  std::string address() const { return server_.address(); }

 private:
  FakeServer server_;
};

class VllmRecovery : public ServerTest {
 protected:
  VllmRecovery() { start({.max_wait_s = 0}); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }

  /// The answer of a pair of servers, the first of which breaks; empty when it ends with an error.
  Ids answer_after_break(const GenerateOptions& options, const std::string& owner) const {
    const Ids expected = llm_.generate("Once upon", options).outputs[0].token_ids;
    const BrokenServer broken(expected, owner);
    LoadOptions load{.backend = "vllm"};
    load.vllm.urls = {broken.address(), url()};
    try {
      return LLM(kModel, load).generate("Once upon", options).outputs[0].token_ids;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo) << error.what();
      return {};
    }
  }
  Ids answer_of(const GenerateOptions& options) const {
    return llm_.generate("Once upon", options).outputs[0].token_ids;
  }
};

TEST_F(VllmRecovery, SeededAnswersGoOnWhereAllServersAreOurs) {
  const GenerateOptions seeded{.max_new_tokens = 16,
                               .temperature = 0.9F,
                               .top_k = 20,
                               .presence_penalty = 0.0F,  // the family has one
                               .seed = 11,
                               .ignore_eos = true};
  EXPECT_EQ(answer_after_break(seeded, "openllm"), answer_of(seeded));
  EXPECT_EQ(answer_after_break(seeded, "vllm"), Ids{}) << "its draws are of its own";
  GenerateOptions penalised = seeded;
  penalised.presence_penalty = 0.5F;
  EXPECT_EQ(answer_after_break(penalised, "openllm"), Ids{});
  const GenerateOptions greedy{.max_new_tokens = 16, .temperature = 0.0F, .ignore_eos = true};
  EXPECT_EQ(answer_after_break(greedy, "vllm"), answer_of(greedy));
}

class WaitingSink final : public engine::RecordingSink {
 public:
  using RecordingSink::RecordingSink;
  void on_end(int choice, FinishReason reason, int cached,
              const base::Failure& failure) noexcept override {
    RecordingSink::on_end(choice, reason, cached, failure);
    if (ended()) done.set_value();
  }
  std::promise<void> done;
};

/// How a request ends that the first of two servers holds.
std::shared_ptr<WaitingSink> ask_in_turn(std::vector<backend::vllm::Server> servers,
                                         std::chrono::milliseconds health_interval) {
  backend::vllm::RemoteModel model;
  model.servers = std::move(servers);
  model.max_model_len = 256;
  model.health_interval = health_interval;
  const auto remote = backend::vllm::make_remote_backend(std::move(model));
  engine::Request request;
  request.id = "a";
  request.prompt_ids = {1, 2, 3};
  request.max_new_tokens = 4;
  request.sampling.temperature = 0.0F;
  const auto sink = std::make_shared<WaitingSink>(1);
  request.sink = sink;
  remote->submit(std::move(request));
  sink->done.get_future().wait();
  return sink;
}

TEST_F(VllmRecovery, AServerThatSaysNothingIsGivenUp) {
  // It takes requests, and then answers nobody any more.
  const FakeServer silent(
      [](const std::string& /*request*/) { return FakeServer::Reply{.hangs = true}; });
  const std::vector<backend::vllm::Server> servers{{silent.address(), "hf"}, {url(), "hf"}};
  std::chrono::milliseconds interval(20);
  std::shared_ptr<WaitingSink> sink = ask_in_turn(servers, interval);
  // On a slow machine the other one is given up, too, unless it has more time.
  while (sink->reasons[0] == FinishReason::kError && interval < std::chrono::seconds(30))
    sink = ask_in_turn(servers, interval *= 5);
  EXPECT_EQ(sink->reasons[0], FinishReason::kLength);
  EXPECT_EQ(sink->tokens[0].size(), 4U);
}

}  // namespace
}  // namespace openllm::contract
