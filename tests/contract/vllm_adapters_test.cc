// LoRA adapters through the backend vllm, at a server that lists and loads them as vLLM does.

#include <gmock/gmock.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "fake_server.h"
#include "http_probe.h"
#include "openllm/llm.h"
#include "openllm/runner.h"
#include "openllm/server.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kModel = OPENLLM_TEST_DATA "/stories260K/hf";

using Loaded = std::map<std::string, std::string>;  // paths by name

/// Knows adapters, and answers with the token of the model that a request names: 5 for the model
/// itself, from 10 on for adapters in the order of their loading.
class AdapterServer {
 public:
  /// `allows`: whether adapters can be loaded while it runs.
  explicit AdapterServer(const Loaded& loaded = {}, bool allows = true)
      : allows_(allows),
        server_([this](const std::string& request) { return FakeServer::Reply{answer(request)}; }) {
    for (const auto& [name, path] : loaded) add(name, path);
  }

  std::string address() const { return server_.address(); }
  std::vector<std::string> posts() {
    const std::lock_guard lock(mutex_);
    return posts_;
  }
  void lose_adapters() {
    const std::lock_guard lock(mutex_);
    adapters_.clear();
  }

 private:
  void add(const std::string& name, const std::string& path) {
    tokens_.try_emplace(name, 10 + static_cast<int>(tokens_.size()));
    adapters_[name] = path;
  }

  static std::string not_found(const std::string& message) {
    return http_reply(404, "application/json",
                      R"({"error":{"message":")" + message +
                          R"(","type":"NotFoundError","param":null,"code":404}})");
  }

  std::string models() const {
    std::string list = R"({"id":"hf","root":"m","parent":null,"max_model_len":256})";
    for (const auto& [name, path] : adapters_)
      list += R"(,{"id":")" + name + R"(","root":")" + path + R"(","parent":"hf"})";
    return http_reply(200, "application/json", R"({"data":[)" + list + "]}");
  }

  std::string load(const base::Json& body) {
    const std::string& path = *body.find("lora_path")->if_string();
    if (path.find("missing") != std::string::npos)
      return not_found("Loading lora failed: No adapter found for " + path);
    add(*body.find("lora_name")->if_string(), path);
    return http_reply(200, "text/plain", "Success: LoRA adapter added.");
  }

  std::string complete(const std::string& model) const {
    const auto adapter = adapters_.find(model);
    if (model != "hf" && adapter == adapters_.end())
      return not_found("The model `" + model + "` does not exist.");
    const std::string token = std::to_string(model == "hf" ? 5 : tokens_.at(model));
    return event_reply({R"({"choices":[{"index":0,"token_ids":[)" + token +
                            R"(],"logprobs":{"tokens":["token_id:)" + token +
                            R"("],"token_logprobs":[-1.5]},"finish_reason":"length"}]})",
                        R"({"choices":[],"usage":{"completion_tokens":1}})", "[DONE]"});
  }

  std::string answer(const std::string& request) {
    const std::lock_guard lock(mutex_);
    const std::size_t end_of_head = request.find("\r\n\r\n");
    if (request.starts_with("GET /v1/models")) return models();
    if (request.starts_with("GET")) return http_reply(200, "x/y", "");
    const base::Json body = base::Json::parse(request.substr(end_of_head + 4), "body");
    if (request.starts_with("POST /v1/completions"))
      return complete(*body.find("model")->if_string());
    if (!allows_) return http_reply(404, "application/json", R"({"detail":"Not Found"})");
    posts_.push_back(request.substr(5, request.find(' ', 5) - 5) + " " + body.dump());
    if (request.starts_with("POST /v1/load_lora_adapter")) return load(body);
    adapters_.erase(*body.find("lora_name")->if_string());
    return http_reply(200, "text/plain", "Success");
  }

  const bool allows_;
  std::mutex mutex_;
  std::map<std::string, std::string> adapters_;
  std::map<std::string, int> tokens_;
  std::vector<std::string> posts_;
  FakeServer server_;  // last: its thread uses what stands above
};

LoadOptions at(std::vector<std::string> urls, std::vector<AdapterOptions> adapters = {}) {
  LoadOptions load{.backend = "vllm"};
  load.vllm.urls = std::move(urls);
  load.adapters = std::move(adapters);
  return load;
}

std::int32_t token_of(const LLM& llm, const std::string& adapter) {
  const GenerationOutput output =
      llm.generate(std::vector<std::int32_t>{1, 2}, {.max_new_tokens = 1, .adapter_name = adapter});
  return output.outputs[0].token_ids.at(0);
}

Error refusal_of(const LLM& llm, const std::string& adapter) {
  try {
    (void)token_of(llm, adapter);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

Error load_error(const LoadOptions& options) {
  try {
    LLM(kModel, options).load();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

TEST(VllmAdapters, ThoseThatAServerListsAreUsedByName) {
  AdapterServer server(Loaded{{"pirate", "/a/pirate"}, {"sql", "/a/sql"}});
  const LLM llm(kModel, at({server.address()}));
  EXPECT_EQ(token_of(llm, ""), 5);
  EXPECT_EQ(token_of(llm, "pirate"), 10);
  EXPECT_EQ(token_of(llm, "sql"), 11);
  EXPECT_EQ(token_of(llm, ""), 5) << "a name does not stick";
  const Error unknown = refusal_of(llm, "poet");
  EXPECT_EQ(unknown.code(), ErrorCode::kNotFound);
  EXPECT_EQ(unknown.where(), "adapter_name");
  EXPECT_THAT(unknown.what(), HasSubstr("expected one of pirate, sql; got poet"));
  EXPECT_THAT(server.posts(), IsEmpty());
}

TEST(VllmAdapters, OnesToMountAreLoadedOnceAndByAbsolutePath) {
  AdapterServer server(Loaded{{"sql", "/elsewhere"}});
  const LLM llm(kModel, at({server.address()}, {{"/a/b/../pirate", "pirate"}, {"x/y", "sql"}}));
  EXPECT_EQ(token_of(llm, "pirate"), 11);
  EXPECT_EQ(token_of(llm, "sql"), 10) << "it was there";
  EXPECT_THAT(
      server.posts(),
      ElementsAre(R"(/v1/load_lora_adapter {"lora_name":"pirate","lora_path":"/a/pirate"})"));
  const LLM nameless(kModel, at({server.address()}, {{"org/one", ""}}));
  EXPECT_EQ(token_of(nameless, "default"), 12);
}

std::string names_of(const LLM& llm) {
  std::string names;
  for (const AdapterOptions& adapter : llm.adapters())
    names += adapter.name + "=" + adapter.id + " ";
  return names;
}

/// Also what others mount there, or take away.
TEST(VllmAdapters, AreListedAsTheServersHaveThem) {
  AdapterServer one(Loaded{{"sql", "/a/sql"}});
  AdapterServer two(Loaded{{"pirate", "/a/pirate"}, {"twin", "/a/sql"}});
  const LLM llm(kModel, at({one.address(), two.address()}));
  EXPECT_THAT(llm.adapters(), IsEmpty()) << "it is not loaded";
  EXPECT_FALSE(llm.runner().has_adapters());
  llm.load();
  EXPECT_TRUE(llm.runner().has_adapters());
  EXPECT_EQ(names_of(llm), "pirate=/a/pirate sql=/a/sql twin=/a/sql ");
  Server server(llm, {.port = 0});
  server.start();
  server.wait_until_ready();
  const base::Json listed = call(server.port(), get("/v1/adapters")).json();
  EXPECT_EQ(listed.dump(), R"({"/a/pirate":{"adapter_name":"pirate","adapter_type":"lora"},)"
                           R"("/a/sql":{"adapter_name":"sql","adapter_type":"lora"},)"
                           R"("/a/sql:twin":{"adapter_name":"twin","adapter_type":"lora"}})");
  two.lose_adapters();
  EXPECT_TRUE(eventually([&] { return names_of(llm) == "sql=/a/sql "; }));
}

TEST(VllmAdapters, AServerThatLoadsNoneSaysWhatItTakes) {
  AdapterServer server(Loaded{}, false);
  const Error error = load_error(at({server.address()}, {{"/a/pirate", "pirate"}}));
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error.where(), "adapters");
  EXPECT_THAT(error.what(), HasSubstr("VLLM_ALLOW_RUNTIME_LORA_UPDATING"));
}

TEST(VllmAdapters, WhatCannotBeMountedIsNamed) {
  AdapterServer server;
  const Error missing = load_error(at({server.address()}, {{"/missing", "a"}}));
  EXPECT_EQ(missing.code(), ErrorCode::kNotFound);
  EXPECT_EQ(missing.where(), "adapters");
  EXPECT_THAT(missing.what(), HasSubstr("No adapter found for /missing"));
  EXPECT_EQ(load_error(at({server.address()}, {{"/a", "hf"}})).code(), ErrorCode::kInvalidArgument)
      << "the model's own name";
  EXPECT_EQ(load_error(at({server.address()}, {{"/a", "x"}, {"/b", "x"}})).where(), "adapters");
  EXPECT_EQ(load_error(at({server.address()}, {{"", "x"}})).code(), ErrorCode::kInvalidArgument);
  LoadOptions native{.backend = "native", .adapters = {{"/a", "x"}}};
  EXPECT_EQ(load_error(native).where(), "adapters");
}

TEST(VllmAdapters, OfSeveralServersThoseThatHaveItAreAsked) {
  AdapterServer bare;
  AdapterServer full(Loaded{{"pirate", "/a/pirate"}});
  const LLM llm(kModel, at({bare.address(), full.address()}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(token_of(llm, "pirate"), 10);
  EXPECT_EQ(token_of(llm, ""), 5);
}

TEST(VllmAdapters, SumsAreNothingThatVllmHas) {
  AdapterServer server(Loaded{{"pirate", "/a"}, {"sql", "/b"}});
  const LLM llm(kModel, at({server.address()}));
  EXPECT_EQ(token_of(llm, "sql*1"), 11);
  for (const char* sum : {"pirate+sql", "sql*0.5"}) {
    const Error refused = refusal_of(llm, sum);
    EXPECT_EQ(refused.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(refused.where(), "adapter_name");
    EXPECT_THAT(refused.what(), HasSubstr("by servers of openllm"));
  }
  EXPECT_THAT(refusal_of(llm, "sql+poet").what(), HasSubstr("got poet"));
  EXPECT_EQ(refusal_of(llm, "sql+").code(), ErrorCode::kInvalidArgument);
}

TEST(VllmAdapters, WhatOneServerKeepsIsMountedAgainAtTheOthers) {
  AdapterServer one(Loaded{{"sql", "/b"}});
  AdapterServer two(Loaded{{"sql", "/b"}}, false);
  const LLM llm(kModel, at({one.address(), two.address()}));
  llm.load();
  EXPECT_THROW(llm.unload_adapter("sql"), Error);
  EXPECT_THAT(one.posts(),
              ElementsAre(R"(/v1/unload_lora_adapter {"lora_name":"sql"})",
                          R"(/v1/load_lora_adapter {"lora_name":"sql","lora_path":"/b"})"));
}

TEST(VllmAdapters, AServerThatBeganAnewMakesRoomForOthersAndThenSaysSo) {
  AdapterServer one(Loaded{{"pirate", "/a"}});
  AdapterServer two(Loaded{{"pirate", "/a"}});
  const LLM llm(kModel, at({one.address(), two.address()}));
  EXPECT_EQ(token_of(llm, "pirate"), 10);
  one.lose_adapters();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(token_of(llm, "pirate"), 10);
  two.lose_adapters();
  const Error gone = refusal_of(llm, "pirate");
  EXPECT_EQ(gone.code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace openllm::contract
