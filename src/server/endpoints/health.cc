#include <utility>

#include "base/json.h"
#include "server/routes.h"

namespace openllm::server {

/// The process answers: nothing more.
Task<Nothing> healthz(App& /*app*/, Exchange& exchange) {
  HttpResponse response;
  response.body = R"({"status":"ok"})";
  exchange.respond(std::move(response));
  co_return Nothing{};
}

/// The model is loaded.
Task<Nothing> readyz(App& app, Exchange& exchange) {
  const Readiness readiness = app.readiness();
  base::Json body = base::Json::object();
  HttpResponse response;
  switch (readiness.state) {
    case Readiness::State::kReady:
      body["status"] = "ready";
      break;
    case Readiness::State::kLoading:
      body["status"] = "loading";
      body["reason"] = "the model is still loading";
      break;
    case Readiness::State::kFailed:
      body["status"] = "failed";
      body["reason"] = readiness.reason;
      break;
  }
  if (readiness.state != Readiness::State::kReady) {
    response.status = 503;
    response.headers.add("Retry-After", "1");
  }
  response.body = body.dump();
  exchange.respond(std::move(response));
  co_return Nothing{};
}

}  // namespace openllm::server
