#include <utility>

#include "base/json.h"
#include "server/error_map.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

base::Json describe(const App& app, const std::string& name) {
  base::Json model = base::Json::object();
  model["id"] = name;
  model["object"] = "model";
  model["created"] = app.start_time();
  model["owned_by"] = "openllm";
  const Readiness readiness = app.readiness();
  if (readiness.state == Readiness::State::kReady)
    model["max_model_len"] = readiness.info.max_context;
  return model;
}

}  // namespace

Task<Nothing> list_models(App& app, Exchange& exchange) {
  base::Json list = base::Json::object();
  list["object"] = "list";
  list["data"] = base::Json::array();
  for (const std::string& name : app.model_names()) list["data"].push_back(describe(app, name));
  HttpResponse response;
  response.body = list.dump();
  exchange.respond(std::move(response));
  co_return Nothing{};
}

/// Ids contain slashes: everything after /v1/models/ is the id.
Task<Nothing> show_model(App& app, Exchange& exchange) {
  constexpr std::string_view kPrefix = "/v1/models/";
  const std::string path =
      percent_decode(exchange.request().path).value_or(exchange.request().path);
  const std::string name = app.require_model(path.substr(kPrefix.size()));
  HttpResponse response;
  response.body = describe(app, name).dump();
  exchange.respond(std::move(response));
  co_return Nothing{};
}

}  // namespace openllm::server
