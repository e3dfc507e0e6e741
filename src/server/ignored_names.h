#pragma once

#include <set>
#include <string>

#include "fields/body.h"
#include "server/http/exchange.h"

namespace openllm {
struct ServerOptions;
}

namespace openllm::server {

/// Tells about members of requests that nobody knows and that change nothing: the client by a
/// header field of the answer, `openllm-ignored-fields: a, b`, and the owner of the server by one
/// line of ServerOptions::log for each name. Strict servers refuse them instead. I/O thread only.
class IgnoredNames {
 public:
  /// Throws kInvalidArgument, naming the first one, if the server is strict.
  void tell(const fields::UnknownNames& names, const ServerOptions& options, Exchange& exchange);

 private:
  std::set<std::string> logged_{};
};

/// Names as the value of a header field: visible ASCII, not too long.
std::string header_of(const fields::UnknownNames& names);

}  // namespace openllm::server
