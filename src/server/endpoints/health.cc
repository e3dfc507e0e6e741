#include <utility>

#include "base/json.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

using State = Readiness::State;

/// State, and why it is not ready.
void describe(base::Json& json, const Readiness& readiness) {
  json["status"] = to_string(readiness.state);
  if (readiness.state == State::kLoading) json["reason"] = "the model is still loading";
  if (readiness.state == State::kFailed) json["reason"] = readiness.reason;
}

/// A failure first, for it stays; then a model that is loading.
bool is_worse(State a, State b) {
  return b == State::kReady ? a != State::kReady : a == State::kFailed && b == State::kLoading;
}

}  // namespace

/// The process answers: nothing more.
Task<void> healthz(Call& call) {
  HttpResponse response;
  response.body = R"({"status":"ok"})";
  call.exchange.respond(std::move(response));
  co_return;
}

/// Every model is loaded. With several of them the answer lists each.
Task<void> readyz(Call& call) {
  const auto& entries = call.app.models().entries();
  Readiness worst{State::kReady};
  base::Json list = base::Json::array();
  for (const auto& entry : entries) {
    Readiness readiness = entry->readiness();
    base::Json model = base::Json::object();
    model["id"] = entry->name();
    describe(model, readiness);
    list.push_back(std::move(model));
    if (is_worse(readiness.state, worst.state)) worst = std::move(readiness);
  }
  base::Json body = base::Json::object();
  describe(body, worst);
  if (entries.size() > 1) body["models"] = std::move(list);
  HttpResponse response;
  if (worst.state != State::kReady) {
    response.status = 503;
    response.headers.add("Retry-After", "1");
  }
  response.body = body.dump();
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
