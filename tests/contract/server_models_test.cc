// Several models in one server.

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http_probe.h"
#include "openllm/server.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

constexpr const char* kModels = OPENLLM_TEST_DATA "/models/";

LLM tiny(const std::string& folder, const LoadOptions& options = {.n_threads = 1}) {
  return LLM(kModels + folder, options);
}

std::string completion_body(const std::string& model, const std::string& prompt) {
  return R"({"model":")" + model + R"(","prompt":)" + prompt +
         R"(,"temperature":0,"max_tokens":24,"ignore_eos":true,"return_token_ids":true)";
}

GenerateOptions greedy() { return {.max_new_tokens = 24, .temperature = 0.0F, .ignore_eos = true}; }

std::string list_ids(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return "[" + text + "]";
}

std::vector<std::string> listed(const Answer& answer) {
  std::vector<std::string> names;
  const base::Json json = answer.json();
  for (const base::Json& model : *json.find("data")->if_array())
    names.push_back(*model.find("id")->if_string());
  return names;
}

class ServerModels : public ::testing::Test {
 protected:
  void start(std::vector<ServedModel> models, ServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<Server>(std::move(models), options);
    server_->start();
  }
  Answer ask(const std::string& request) const { return call(server_->port(), request); }
  Answer complete(const std::string& body) const { return ask(post("/v1/completions", body)); }
  base::Json ready() const { return ask(get("/readyz")).json(); }

  std::unique_ptr<Server> server_;
};

TEST_F(ServerModels, AnswerAtTheSameTimeEachWithItsOwnWeights) {
  const std::vector<LLM> llms{tiny("llama"), tiny("qwen3"), make_llm()};
  start({{llms[0]}, {llms[1], "second"}, {llms[2], "stories", {"s"}}});
  server_->wait_until_ready();
  EXPECT_THAT(listed(ask(get("/v1/models"))), ElementsAre("llama", "second", "stories", "s"));
  const std::vector<std::string> names{"llama", "second", "stories"};
  const std::vector<std::int32_t> prompt{1, 5, 9};
  std::vector<std::thread> threads;
  std::vector<std::string> got(24);
  for (std::size_t i = 0; i < got.size(); ++i) {
    threads.emplace_back([&, i] {
      const std::string& name = names[i % 3];
      const base::Json json = complete(completion_body(name, list_ids(prompt)) + "}").json();
      got[i] = str(json, {"model"}) + str(json, {"choices", "0", "token_ids"});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const GenerationOutput expected = llms[i % 3].generate(prompt, greedy());
    EXPECT_EQ(got[i], names[i % 3] + list_ids(expected.outputs[0].token_ids)) << i;
  }
  EXPECT_NE(got[0].substr(names[0].size()), got[1].substr(names[1].size()));
}

TEST_F(ServerModels, RequestsSelectByAnyOfTheNames) {
  const LLM stories = make_llm();
  start({{tiny("llama"), "first"}, {stories, "stories", {"s"}}});
  server_->wait_until_ready();
  const auto status_of = [&](const std::string& name) {
    return complete(completion_body(name, "[1,5]") + "}").status;
  };
  // Only the second model has a tokenizer.
  for (const std::string& name : {std::string("stories"), std::string("s"), stories.id(),
                                  stories.tag(), stories.info().path}) {
    const Answer answer = complete(completion_body(name, "\"Once\"") + "}");
    EXPECT_EQ(answer.status, 200) << name << answer.body;
    EXPECT_EQ(str(answer.json(), {"model"}), name);
  }
  EXPECT_EQ(status_of(""), 200) << "the first one";
  EXPECT_EQ(status_of("first"), 200);
  EXPECT_EQ(status_of("llama"), 200) << "its id";
  EXPECT_EQ(str(complete(R"({"prompt":[1],"max_tokens":1})").json(), {"model"}), "first");
  const Answer unknown = complete(completion_body("third", "[1]") + "}");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(str(unknown.json(), {"error", "code"}), "model_not_found");
  EXPECT_EQ(str(unknown.json(), {"error", "param"}), "model");
  EXPECT_THAT(str(unknown.json(), {"error", "message"}), HasSubstr("(this server has first, "));
  EXPECT_EQ(ask(get("/v1/models/s")).status, 200);
  EXPECT_EQ(ask(get("/v1/models/third")).status, 404);
}

TEST_F(ServerModels, OneThatFailsToLoadDoesNotKeepTheOthersFromAnswering) {
  LoadOptions too_small{.n_threads = 1};
  too_small.kv_cache_bytes = 1;  // not one block
  start({{tiny("llama", too_small), "broken"}, {make_llm(), "stories"}});
  EXPECT_THAT([&] { server_->wait_until_ready(); },
              ThrowsMessage<Error>(HasSubstr("kv_cache_bytes: too small")));
  std::vector<std::thread> threads;
  std::vector<int> statuses(12);
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    threads.emplace_back([&, i] {
      const std::string name = i % 2 == 0 ? "broken" : "stories";
      statuses[i] = complete(completion_body(name, "[1,5]") + "}").status;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < statuses.size(); ++i) EXPECT_EQ(statuses[i], i % 2 == 0 ? 503 : 200);
  const Answer failed = complete(completion_body("broken", "[1]") + R"(,"stream":true})");
  EXPECT_EQ(str(failed.json(), {"error", "code"}), "model_load_failed");

  const Answer answer = ask(get("/readyz"));
  EXPECT_EQ(answer.status, 503);
  const base::Json json = answer.json();
  EXPECT_EQ(str(json, {"status"}), "failed");
  EXPECT_THAT(str(json, {"reason"}), HasSubstr("kv_cache_bytes: too small"));
  EXPECT_EQ(str(json, {"models", "0", "id"}), "broken");
  EXPECT_EQ(str(json, {"models", "0", "status"}), "failed");
  EXPECT_THAT(str(json, {"models", "0", "reason"}), HasSubstr("kv_cache_bytes: too small"));
  EXPECT_EQ(json.find("models")->if_array()->at(1).dump(), R"({"id":"stories","status":"ready"})");
  const std::string metrics = ask(get("/metrics")).body;
  EXPECT_THAT(metrics, HasSubstr("openllm_ready{model=\"broken\"} 0\n"));
  EXPECT_THAT(metrics, HasSubstr("openllm_ready{model=\"stories\"} 1\n"));
  EXPECT_THAT(metrics, Not(HasSubstr("openllm_requests_total{model=\"stories\"} 0\n")));
}

TEST_F(ServerModels, OneAnswersWhileAnotherLoads) {
  const auto gate = std::make_shared<Gate>();
  LoadOptions gated{.n_threads = 1};
  gated.progress = [gate](const std::string&, double) { gate->pass(); };
  start({{make_llm(), "stories"}, {tiny("llama", gated), "slow"}});
  EXPECT_EQ(complete(completion_body("stories", "\"Once\"") + "}").status, 200);
  EXPECT_TRUE(eventually([&] { return str(ready(), {"models", "0", "status"}) == "ready"; }));
  EXPECT_EQ(str(ready(), {"status"}), "loading");
  EXPECT_EQ(str(ready(), {"models", "1", "status"}), "loading");
  Probe waiting(server_->port());
  waiting.send(post("/v1/completions", completion_body("slow", "[1,5]") + "}"));
  gate->release();
  EXPECT_EQ(waiting.read_answer().status, 200);
  server_->wait_until_ready();
  EXPECT_EQ(ask(get("/readyz")).status, 200);
}

TEST_F(ServerModels, StoppingDoesNotWaitForModelsThatHaveNotBegunToLoad) {
  const auto gate = std::make_shared<Gate>();
  LoadOptions gated{.n_threads = 1};
  gated.progress = [gate](const std::string&, double) { gate->pass(); };
  bool has_begun = false;
  LoadOptions watched{.n_threads = 1};
  watched.progress = [&](const std::string&, double) { has_begun = true; };
  start({{make_llm(gated), "slow"}, {tiny("llama", watched), "never"}});
  const std::uint16_t port = server_->port();
  std::thread releasing([&] {
    EXPECT_TRUE(eventually([&] { return !is_listening(port); }));
    gate->release();
  });
  server_->stop();
  releasing.join();
  EXPECT_FALSE(has_begun);
  EXPECT_THROW(server_->wait_until_ready(), Error);
}

TEST_F(ServerModels, AliasesOfTheOptionsAreTheFirstModels) {
  start({{make_llm(), "stories"}, {tiny("llama"), "other"}}, {.model_aliases = {"gpt", "*"}});
  server_->wait_until_ready();
  EXPECT_THAT(listed(ask(get("/v1/models"))), ElementsAre("stories", "gpt", "other"));
  for (const std::string name : {"gpt", "anything"}) {
    const Answer answer = complete(completion_body(name, "\"Once\"") + "}");
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(str(answer.json(), {"model"}), name);
  }
}

TEST_F(ServerModels, NamesMustTellThemApart) {
  const LLM llm = make_llm();
  const auto is_refused = [](std::vector<ServedModel> models, const ServerOptions& options = {}) {
    try {
      const Server server(std::move(models), options);
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidArgument;
    }
  };
  EXPECT_FALSE(is_refused({{llm, "a"}, {llm, "b"}}));
  EXPECT_FALSE(is_refused({{llm, "a", {"a"}}, {llm}}));
  EXPECT_TRUE(is_refused({}));
  EXPECT_TRUE(is_refused({{llm}, {llm}})) << "both are named by the id";
  EXPECT_TRUE(is_refused({{llm, "a"}, {llm, "b", {"a"}}}));
  EXPECT_TRUE(is_refused({{llm, "a"}, {llm, "b", {""}}}));
  EXPECT_TRUE(is_refused({{llm, "a"}, {llm, "b"}}, {.model_aliases = {"b"}}));
  LLM moved = llm;
  const LLM other = std::move(moved);
  EXPECT_TRUE(is_refused({{llm, "a"}, {moved, "b"}}));  // NOLINT(*-use-after-move)
}

TEST_F(ServerModels, AnIdThatTwoModelsHaveSelectsNeither) {
  const LLM llm = make_llm();
  start({{llm, "a"}, {llm, "b"}});
  server_->wait_until_ready();
  EXPECT_EQ(complete(completion_body("a", "\"Once\"") + "}").status, 200);
  EXPECT_EQ(complete(completion_body("b", "\"Once\"") + "}").status, 200);
  EXPECT_EQ(complete(completion_body(llm.id(), "\"Once\"") + "}").status, 404);
}

}  // namespace
}  // namespace openllm::contract
