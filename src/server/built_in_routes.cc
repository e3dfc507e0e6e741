#include "server/dialect.h"
#include "server/routes.h"

namespace openllm::server {

// The endpoints, one file each in endpoints/.
Task<void> completions(Call& call);
Task<void> chat_completions(Call& call);
Task<void> generate(Call& call);
Task<void> generate_stream(Call& call);
Task<void> list_models(Call& call);
Task<void> show_model(Call& call);
Task<void> healthz(Call& call);
Task<void> readyz(Call& call);
Task<void> show_metrics(Call& call);
Task<void> show_version(Call& call);

RouteTable built_in_routes() {
  RouteTable table;
  table.add({"POST", "/v1/chat/completions", chat_completions});
  table.add({"POST", "/v1/completions", completions});
  table.add({"POST", "/v1/generate", generate, true, &kNativeDialect});
  table.add({"POST", "/v1/generate_stream", generate_stream, true, &kNativeDialect});
  table.add({"GET", "/v1/models", list_models});
  table.add({"GET", "/v1/models/", show_model});
  table.add({"GET", "/healthz", healthz, false});
  table.add({"GET", "/livez", healthz, false});
  table.add({"GET", "/readyz", readyz, false});
  table.add({"GET", "/health", readyz, false});
  table.add({"GET", "/v1/health", readyz, false});
  table.add({"GET", "/metrics", show_metrics});
  table.add({"GET", "/version", show_version});
  return table;
}

}  // namespace openllm::server
