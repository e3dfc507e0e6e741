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
#include "server/metrics.h"
#include "server/model_set.h"
#include "server/route_table.h"

namespace openllm::server {

/// State that the endpoints share.
class App {
 public:
  /// Throws kInvalidArgument for wrong origins and for models that could serve nobody.
  App(std::vector<ServedModel> models, ServerOptions options);

  ModelSet& models() noexcept { return models_; }
  const ModelSet& models() const noexcept { return models_; }
  /// The built-in routes at first.
  RouteTable& routes() noexcept { return routes_; }
  const RouteTable& routes() const noexcept { return routes_; }
  const ServerOptions& options() const noexcept { return options_; }
  const Cors& cors() const noexcept { return cors_; }
  std::int64_t start_time() const noexcept { return start_time_; }

  /// Compares in a time that does not depend on where the keys differ. True if no keys are wanted.
  bool is_authorized(std::string_view authorization) const noexcept;
  /// On whose behalf an authorized request comes: a name for each key, the same for all without
  /// keys.
  std::string tenant_of(const HttpRequest& request) const;

  // Set before the first request.
  Executor executor{};          ///< Runs things on the I/O thread.
  base::Worker large_bodies{};  ///< Parses bodies that would hold the I/O thread for long.
  std::function<TransportStats()> transport_stats{};
  Metrics metrics{};  ///< I/O thread only.

 private:
  /// Which of the keys it is; the number of keys if none.
  std::size_t find_key(std::string_view authorization) const noexcept;

  const ServerOptions options_;
  ModelSet models_;
  RouteTable routes_;
  const Cors cors_;
  const std::int64_t start_time_;
};

}  // namespace openllm::server
