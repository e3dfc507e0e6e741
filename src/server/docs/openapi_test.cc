#include "server/docs/openapi.h"

#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

using base::Json;

TEST(OpenApi, HasEveryBuiltInRouteWithASummary) {
  const RouteTable routes = built_in_routes();
  const Json document = Json::parse(openapi_document(routes, "openllm", false), "document");
  EXPECT_EQ(document.find("openapi")->dump(), "\"3.1.0\"");
  std::set<std::string> ids;
  std::size_t n_operations = 0;
  for (const auto& [path, operations] : *document.find("paths")->if_object()) {
    for (const auto& [method, operation] : *operations.if_object()) {
      ++n_operations;
      ASSERT_NE(operation.find("summary"), nullptr) << method << " " << path;
      ids.insert(*operation.find("operationId")->if_string());
    }
  }
  EXPECT_EQ(n_operations, routes.all().size());
  EXPECT_EQ(ids.size(), n_operations);
  EXPECT_NE(document.find("paths")->find("/v1/models/{name}")->find("get")->find("parameters"),
            nullptr);
}

TEST(OpenApi, BodiesHaveTheFieldsOfTheirTable) {
  const Json document =
      Json::parse(openapi_document(built_in_routes(), "openllm", false), "document");
  const auto properties = [&](const char* name) {
    return document.find("components")->find("schemas")->find(name)->find("properties");
  };
  EXPECT_NE(properties("CompletionRequest")->find("max_tokens"), nullptr);
  EXPECT_EQ(properties("CompletionRequest")->find("messages"), nullptr);
  EXPECT_NE(properties("ChatCompletionRequest")->find("messages"), nullptr);
  EXPECT_NE(properties("GenerationInput")->find("max_new_tokens"), nullptr);
  EXPECT_NE(properties("GenerationInput")->find("prompt_logprobs"), nullptr);
  EXPECT_EQ(properties("ChatCompletionRequest")->find("prompt_logprobs"), nullptr);
  const Json* temperature = properties("ChatCompletionRequest")->find("temperature");
  const Json& number = temperature->find("anyOf")->if_array()->front();
  EXPECT_EQ(number.dump(), R"({"type":"number","minimum":0,"maximum":2})");
}

TEST(OpenApi, KeysAreAskedForWhereTheyAreWanted) {
  const auto security = [](bool wants_keys, const char* path) {
    const Json document =
        Json::parse(openapi_document(built_in_routes(), "openllm", wants_keys), "document");
    return document.find("paths")->find(path)->find("get")->find("security")->dump();
  };
  EXPECT_EQ(security(true, "/v1/models"), R"([{"bearer":[]},{"apiKey":[]}])");
  EXPECT_EQ(security(true, "/healthz"), "[]");
  EXPECT_EQ(security(false, "/v1/models"), "[]");
}

}  // namespace
}  // namespace openllm::server
