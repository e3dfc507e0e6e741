// LoRA adapters over HTTP: as models, by name, as sums, mounted and unmounted while the server
// runs.

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "http_probe.h"
#include "openllm/http_client.h"
#include "openllm/server.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kData = OPENLLM_TEST_DATA;

std::string adapter(const std::string& name) { return std::string(kData) + "/adapters/" + name; }

base::Json golden(const std::string& name) {
  return base::Json::parse(base::read_file(adapter(name) + "/golden.json", 1 << 20), name);
}

class ServerAdapters : public ::testing::Test {
 protected:
  void start(std::vector<AdapterOptions> adapters = {}, ServerOptions options = {}) {
    LoadOptions load{.n_threads = 1};
    load.adapters = std::move(adapters);
    options.port = 0;
    llm_ = std::make_unique<LLM>(std::string(kData) + "/models/llama", load);
    server_ = std::make_unique<Server>(*llm_, options);
    server_->start();
    server_->wait_until_ready();
  }
  Answer ask(const std::string& request) const { return call(server_->port(), request); }
  Answer complete(const std::string& members) const {
    return ask(post("/v1/completions",
                    base::cat(R"({"prompt":)", golden("llama-qv").find("prompt")->dump(),
                              R"(,"temperature":0,"max_tokens":8,"ignore_eos":true,)",
                              R"("return_token_ids":true)", members, "}")));
  }
  std::string ids(const std::string& members) const {
    const base::Json json = whole_of(complete(members));
    return json.find("choices")->if_array()->at(0).find("token_ids")->dump();
  }
  static std::string greedy(const std::string& name) { return golden(name).find("greedy")->dump(); }
  std::vector<std::string> listed() const {
    std::vector<std::string> names;
    const base::Json json = whole_of(ask(get("/v1/models")));
    for (const base::Json& model : *json.find("data")->if_array())
      names.push_back(*model.find("id")->if_string());
    return names;
  }
  Answer load(const std::string& name, const std::string& path) const {
    return ask(post("/v1/load_lora_adapter",
                    base::cat(R"({"lora_name":")", name, R"(","lora_path":")", path, R"("})")));
  }
  Answer unload(const std::string& name) const {
    return ask(post("/v1/unload_lora_adapter", base::cat(R"({"lora_name":")", name, R"("})")));
  }

  std::unique_ptr<LLM> llm_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerAdapters, AreModelsAndHaveNames) {
  start({{adapter("llama-qv"), "qv"}, {adapter("llama-all"), "all"}});
  const std::string bare = ids("");
  EXPECT_THAT(listed(), ElementsAre("llama", "all", "qv"));
  EXPECT_EQ(ids(R"(,"model":"qv")"), greedy("llama-qv"));
  EXPECT_EQ(ids(R"(,"model":"all")"), greedy("llama-all"));
  EXPECT_EQ(ids(R"(,"model":"llama","adapter_name":"qv")"), greedy("llama-qv"));
  EXPECT_EQ(ids(R"(,"adapter_name":"qv*1+all*0")"), greedy("llama-qv"));
  EXPECT_EQ(ids(R"(,"adapter_name":"none")"), bare);
  EXPECT_EQ(ids(R"(,"adapter_name":null)"), bare);
  EXPECT_EQ(*whole_of(complete(R"(,"model":"qv")")).find("model")->if_string(), "qv");
  const base::Json shown = whole_of(ask(get("/v1/models/qv")));
  EXPECT_EQ(*shown.find("root")->if_string(), adapter("llama-qv"));
  EXPECT_EQ(*shown.find("parent")->if_string(), "llama");
  EXPECT_THAT(complete(R"(,"model":"qv","adapter_name":"all")").body,
              HasSubstr("stands beside a model that is an adapter"));
  EXPECT_EQ(complete(R"(,"adapter_name":"sql")").status, 404);
  EXPECT_EQ(complete(R"(,"model":"sql")").status, 404);
  EXPECT_EQ(complete(R"(,"adapter_name":"qv*x")").status, 400);
  const base::Json adapters = whole_of(ask(get("/v1/adapters")));
  EXPECT_EQ(*adapters.find(adapter("llama-qv"))->find("adapter_name")->if_string(), "qv");
}

TEST_F(ServerAdapters, ComeAndGo) {
  start();
  const std::string bare = ids("");
  EXPECT_EQ(load("qv", adapter("llama-qv")).status, 200);
  EXPECT_EQ(load("qv", adapter("llama-qv")).status, 200) << "it is there already";
  EXPECT_EQ(ids(R"(,"model":"qv")"), greedy("llama-qv"));
  EXPECT_EQ(ids(""), bare);
  EXPECT_EQ(load("qv", adapter("llama-all")).status, 400);
  EXPECT_EQ(load("other", adapter("gpt2")).status, 400) << "of another model";
  EXPECT_EQ(load("other", "/nonexistent").status, 404);
  EXPECT_EQ(unload("qv").status, 200);
  EXPECT_EQ(unload("qv").status, 404);
  EXPECT_EQ(complete(R"(,"model":"qv")").status, 404);
  EXPECT_EQ(load("qv", adapter("llama-all")).status, 200);
  EXPECT_EQ(ids(R"(,"model":"qv")"), greedy("llama-all"));
  for (const char* body : {"{}", R"({"lora_name":"a"})", R"({"lora_name":1,"lora_path":"b"})",
                           R"({"lora_name":"a","lora_path":"b","load_inplace":true})",
                           R"({"lora_name":"a","lora_path":"b","lora_int_id":1})"}) {
    EXPECT_EQ(ask(post("/v1/load_lora_adapter", body)).status, 400) << body;
  }
}

TEST_F(ServerAdapters, AreNeitherChangedNorSeenByEverybody) {
  start({}, {.host = "0.0.0.0"});
  EXPECT_THAT(load("qv", adapter("llama-qv")).body, HasSubstr("expected an API key"));
  EXPECT_GE(load("qv", adapter("llama-qv")).status, 400);
  EXPECT_GE(unload("qv").status, 400);
  EXPECT_THAT(ask(get("/v1/adapters")).body, HasSubstr("expected an API key"));
}

TEST_F(ServerAdapters, ThroughAClientAndAfterAReload) {
  start({{adapter("llama-qv"), "qv"}});
  llm_->load_adapter({adapter("llama-all"), "all"});
  HTTPClientOptions options;
  options.address = base::cat("http://127.0.0.1:", server_->port());
  const HTTPClient client(options);
  GenerateOptions request{.max_new_tokens = 8, .temperature = 0.0F, .ignore_eos = true};
  request.adapter_name = "all";
  std::vector<std::int32_t> prompt;
  const base::Json expected = golden("llama-all");
  for (const base::Json& id : *expected.find("prompt")->if_array())
    prompt.push_back(static_cast<std::int32_t>(*id.if_int()));
  const auto answer = [&](const auto& asked) {
    std::string text;
    const GenerationOutput output = asked.generate(Prompt(prompt), request);
    for (const std::int32_t id : output.outputs[0].token_ids)
      text += (text.empty() ? "[" : ",") + std::to_string(id);
    return text + "]";
  };
  EXPECT_EQ(answer(client), greedy("llama-all"));
  llm_->unload();
  EXPECT_TRUE(llm_->adapters().empty());
  EXPECT_EQ(answer(*llm_), greedy("llama-all")) << "mounted again with the model";
  EXPECT_EQ(llm_->adapters().size(), 2U);
  llm_->unload_adapter("all");
  EXPECT_EQ(llm_->adapters().size(), 1U);
}

// Whoever replays it may have another default, or none.
TEST(AdapterReceipts, NameTheAdapterOfADefault) {
  LoadOptions load{.n_threads = 1};
  load.adapters = {{adapter("llama-qv"), "qv"}, {adapter("llama-all"), "all"}};
  const std::string model = std::string(kData) + "/models/llama";
  const LLM plain(model, load);
  load.default_adapter = "qv";
  const LLM with_default(model, load);
  const std::vector<std::int32_t> prompt = {5, 9, 3};
  const GenerateOptions request{
      .max_new_tokens = 8, .temperature = 0.0F, .ignore_eos = true, .receipt = true};
  for (const auto& [made_by, replayed_by] :
       {std::pair{&plain, &with_default}, std::pair{&with_default, &plain}}) {
    const GenerationOutput output = made_by->generate(Prompt(prompt), request);
    ASSERT_FALSE(output.receipt.empty());
    EXPECT_EQ(output.receipt.find("\"qv\"") != std::string::npos, made_by == &with_default);
    EXPECT_TRUE(replayed_by->replay(output.receipt).same);
  }
  EXPECT_NE(plain.generate(Prompt(prompt), request).outputs[0].token_ids,
            with_default.generate(Prompt(prompt), request).outputs[0].token_ids);
}

}  // namespace
}  // namespace openllm::contract
