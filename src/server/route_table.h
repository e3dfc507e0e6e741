#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "openllm/task.h"
#include "server/dialect.h"
#include "server/docs/route_doc.h"

namespace openllm::server {

struct Call;

/// Answers one request with `Exchange::respond` or `send_event`; may throw instead. Runs on the I/O
/// thread. `call` outlives the task.
using Endpoint = std::function<Task<void>(Call& call)>;

struct Route {
  std::string method{};  ///< Routes for GET answer HEAD too.
  std::string path{};    ///< With a slash at the end: everything below it.
  Endpoint endpoint{};
  bool needs_key = true;
  const Dialect* dialect = &kOpenAiDialect;  ///< Outlives the table.
  /// What bodies are: those of other types are refused. GET has none.
  enum class Content { kJson, kText };
  Content content = Content::kJson;
  RouteDoc doc{};
  bool asks_model = false;  ///< Of no use while the model has too much to do.
};

/// The routes of a server. Of several that match a path, an exact one comes first, then the
/// longest. Thread safety: `add` before the server starts, everything else from then on, from any
/// thread.
class RouteTable {
 public:
  /// Throws kInvalidArgument for a route that nobody could reach and for one that is there already.
  void add(Route route);
  /// Adds those that are not there yet.
  void add_missing(const RouteTable& others);

  const std::deque<Route>& all() const noexcept { return routes_; }

  /// The routes of a path.
  struct Match {
    const Route* route = nullptr;  ///< For the method; null if there is none.
    const Route* any = nullptr;    ///< For the path, whatever the method.
  };
  Match find(std::string_view method, std::string_view path) const;
  /// Methods of the path as the header field Allow lists them; empty if there is no such path.
  std::string allowed_methods(std::string_view path) const;
  /// Whether a request wants an API key. So do all that have no route.
  bool needs_key(std::string_view method, std::string_view path) const;
  /// End of the message that there is no route: the one that may be meant, if any. Base addresses
  /// are often given without /v1.
  std::string hint(std::string_view path) const;

 private:
  std::deque<Route> routes_;  // what `find` gave stays where it is
};

}  // namespace openllm::server
