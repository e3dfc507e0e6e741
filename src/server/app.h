#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/worker.h"
#include "openllm/server.h"
#include "server/cors.h"
#include "server/http/message.h"
#include "server/ignored_names.h"
#include "server/metrics.h"
#include "server/model_set.h"
#include "server/route_table.h"

namespace openllm::server {

/// State that the endpoints share.
class App {
 public:
  /// Throws kInvalidArgument for wrong origins and for models that could serve nobody.
  /// `title`: what the server calls itself in /docs.json.
  App(std::vector<ServedModel> models, ServerOptions options, RouteTable routes,
      std::string title = "openllm");

  ModelSet& models() noexcept { return models_; }
  const ModelSet& models() const noexcept { return models_; }
  /// To be added to before the first request.
  RouteTable& routes() noexcept { return routes_; }
  const RouteTable& routes() const noexcept { return routes_; }
  const ServerOptions& options() const noexcept { return options_; }
  const std::string& title() const noexcept { return title_; }
  const Cors& cors() const noexcept { return cors_; }
  std::int64_t start_time() const noexcept { return start_time_; }

  /// Whether the fields have one of the API keys, as `Authorization: Bearer <key>` or as
  /// `X-Api-Key: <key>`; true if none is wanted. Takes a time that does not depend on where the
  /// keys differ.
  bool is_authorized(const Headers& headers) const noexcept;
  /// On whose behalf a request comes: equal for equal keys, and empty if none is wanted.
  std::string tenant_of(const HttpRequest& request) const;

  // Set before the first request.
  Executor executor{};          ///< Runs things on the I/O thread.
  base::Worker large_bodies{};  ///< Parses bodies that would hold the I/O thread for long.
  std::function<TransportStats()> transport_stats{};
  Metrics metrics{};             ///< I/O thread only.
  IgnoredNames ignored_names{};  ///< I/O thread only.

 private:
  const std::string* find_key(std::string_view given) const noexcept;
  const std::string* find_key(const Headers& headers) const noexcept;

  const ServerOptions options_;
  ModelSet models_;
  RouteTable routes_;
  const std::string title_;
  const Cors cors_;
  const std::int64_t start_time_;
};

}  // namespace openllm::server
