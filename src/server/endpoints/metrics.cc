#include "server/metrics.h"

#include <utility>

#include "server/open_metrics.h"
#include "server/routes.h"

namespace openllm::server {

Task<void> show_metrics(Call& call) {
  std::vector<ModelMetrics> models;
  for (const auto& entry : call.app.models().entries()) {
    const bool is_ready = entry->readiness().state == Readiness::State::kReady;
    models.push_back({entry->name(), entry->llm().stats(), is_ready});
  }
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = to_prometheus(call.app.metrics, call.app.transport_stats(), models);
  response.headers.add("Vary", "Accept");
  if (wants_open_metrics(call.exchange.request().headers.find("Accept"))) {
    response.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.body = to_open_metrics(response.body);
  }
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
