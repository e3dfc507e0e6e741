// LoRA adapters through places: servers of ours, a front before them, and one that begins anew.

#include <gmock/gmock.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "http_probe.h"
#include "openllm/llm.h"
#include "openllm/server.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kModel = OPENLLM_TEST_DATA "/models/llama";

std::string adapter(const std::string& name) {
  return std::string(OPENLLM_TEST_DATA) + "/adapters/" + name;
}

using Ids = std::vector<std::int32_t>;

Ids golden(const std::string& name, const char* member) {
  const base::Json json =
      base::Json::parse(base::read_file(adapter(name) + "/golden.json", 1 << 20), name);
  Ids ids;
  for (const base::Json& id : *json.find(member)->if_array())
    ids.push_back(static_cast<std::int32_t>(*id.if_int()));
  return ids;
}

/// A server of ours with a model of its own.
struct Place {
  explicit Place(std::uint16_t port = 0) : llm(kModel, {.n_threads = 1}) {
    ServerOptions options;
    options.port = port;
    server = std::make_unique<Server>(llm, options);
    server->start();
    server->wait_until_ready();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server->port()); }
  std::vector<std::string> names() const {
    std::vector<std::string> list;
    for (const AdapterOptions& one : llm.adapters()) list.push_back(one.name);
    return list;
  }
  LLM llm;
  std::unique_ptr<Server> server;
};

LLM over(std::vector<std::string> places, std::vector<AdapterOptions> adapters = {}) {
  LoadOptions load;
  if (places.back() == "native") load.n_threads = 1;  // servers alone refuse what is about engines
  load.places = std::move(places);
  load.adapters = std::move(adapters);
  return LLM(kModel, load);
}

Ids answer(const LLM& llm, const std::string& name) {
  GenerateOptions options{.max_new_tokens = 8, .temperature = 0.0F, .ignore_eos = true};
  options.adapter_name = name;
  return llm.generate(golden("llama-qv", "prompt"), options).outputs[0].token_ids;
}

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

TEST(PlacesAdapters, AreMountedAtAllAndAnswerAsPeft) {
  Place one;
  Place two;
  const LLM llm = over({one.url(), two.url(), "native"}, {{adapter("llama-qv"), "qv"}});
  const Ids bare = answer(llm, "");
  EXPECT_THAT(one.names(), ElementsAre("qv"));
  llm.load_adapter({adapter("llama-all"), "all"});
  EXPECT_THAT(two.names(), ElementsAre("all", "qv"));
  const LLM native(
      kModel,
      {.n_threads = 1, .adapters = {{adapter("llama-qv"), "qv"}, {adapter("llama-all"), "all"}}});
  const Ids sum = answer(native, "qv*0.5+all");
  EXPECT_NE(sum, golden("llama-qv", "greedy"));
  for (int i = 0; i < 4; ++i) {  // wherever it is made
    EXPECT_EQ(answer(llm, "qv"), golden("llama-qv", "greedy"));
    EXPECT_EQ(answer(llm, "all"), golden("llama-all", "greedy"));
    EXPECT_EQ(answer(llm, "qv*0.5+all"), sum);
    EXPECT_EQ(answer(llm, ""), bare);
  }
  EXPECT_EQ(llm.adapters().size(), 2U);
  EXPECT_EQ(error_of([&] { (void)answer(llm, "sql"); }).code(), ErrorCode::kNotFound);
  llm.unload_adapter("qv");
  EXPECT_THAT(one.names(), ElementsAre("all"));
  EXPECT_EQ(error_of([&] { (void)answer(llm, "qv"); }).code(), ErrorCode::kNotFound);
}

TEST(PlacesAdapters, WhatOnePlaceRefusesIsNowhere) {
  Place one;
  Place two;
  const LLM llm = over({one.url(), two.url()});
  llm.load();
  two.llm.load_adapter({adapter("llama-all"), "other"});
  const Error misfit = error_of([&] { llm.load_adapter({adapter("gpt2"), "misfit"}); });
  EXPECT_EQ(misfit.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(misfit.what(), HasSubstr("the place " + one.url()));
  EXPECT_TRUE(one.names().empty());
  EXPECT_THAT(two.names(), ElementsAre("other"));
  EXPECT_EQ(answer(llm, "other"), golden("llama-all", "greedy")) << "as it is there";
}

TEST(PlacesAdapters, AFrontListsAndChangesThem) {
  Place behind;
  const LLM llm = over({behind.url()});
  ServerOptions options;
  options.port = 0;
  Server front(llm, options);
  front.start();
  front.wait_until_ready();
  const auto post_to = [&](const char* path, const std::string& body) {
    return call(front.port(), post(path, body));
  };
  EXPECT_EQ(post_to("/v1/load_lora_adapter",
                    base::cat(R"({"lora_name":"qv","lora_path":")", adapter("llama-qv"), R"("})"))
                .status,
            200);
  EXPECT_THAT(behind.names(), ElementsAre("qv"));
  const base::Json models = whole_of(call(front.port(), get("/v1/models")));
  ASSERT_EQ(models.find("data")->if_array()->size(), 2U);
  const base::Json& listed = models.find("data")->if_array()->at(1);
  EXPECT_EQ(*listed.find("id")->if_string(), "qv");
  EXPECT_EQ(*listed.find("parent")->if_string(), "llama");
  const auto ids = [&](const std::string& members) {
    std::string prompt;
    for (const std::int32_t id : golden("llama-qv", "prompt"))
      prompt += (prompt.empty() ? "[" : ",") + std::to_string(id);
    const base::Json json =
        whole_of(post_to("/v1/completions",
                         base::cat(R"({"prompt":)", prompt, R"(],"temperature":0,"max_tokens":8,)",
                                   R"("ignore_eos":true,"return_token_ids":true)", members, "}")));
    Ids list;
    for (const base::Json& id :
         *json.find("choices")->if_array()->at(0).find("token_ids")->if_array())
      list.push_back(static_cast<std::int32_t>(*id.if_int()));
    return list;
  };
  EXPECT_EQ(ids(R"(,"model":"qv")"), golden("llama-qv", "greedy"));
  EXPECT_EQ(ids(R"(,"adapter_name":"qv*0")"), ids(""));
  EXPECT_EQ(post_to("/v1/unload_lora_adapter", R"({"lora_name":"qv"})").status, 200);
  EXPECT_TRUE(behind.names().empty());
  EXPECT_EQ(post_to("/v1/unload_lora_adapter", R"({"lora_name":"qv"})").status, 404);
}

TEST(PlacesAdapters, AServerThatBeganAnewGetsThemAgain) {
  auto behind = std::make_unique<Place>();
  const std::uint16_t port = behind->server->port();
  const LLM llm = over({behind->url()}, {{adapter("llama-qv"), "qv"}});
  EXPECT_EQ(answer(llm, "qv"), golden("llama-qv", "greedy"));
  behind->server->stop();
  behind.reset();
  EXPECT_EQ(error_of([&] { (void)answer(llm, "qv"); }).code(), ErrorCode::kUnavailable);
  const Place again(port);
  EXPECT_TRUE(eventually([&] { return !again.llm.adapters().empty(); }));
  EXPECT_EQ(answer(llm, "qv"), golden("llama-qv", "greedy"));
}

}  // namespace
}  // namespace openllm::contract
