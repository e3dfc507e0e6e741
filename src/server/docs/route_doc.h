#pragma once

#include <string>
#include <vector>

#include "openllm/binding.h"

namespace openllm::server {

/// What /docs.json says of a route.
struct RouteDoc {
  /// Writes the members of a JSON Schema.
  using Schema = void (*)(detail::SchemaWriter& out);
  struct Body {
    std::string type{};  ///< "application/json", ...
    Schema schema = nullptr;
  };

  std::string tag{};
  std::string summary{};
  std::string description{};
  std::vector<Body> request{};   ///< Empty: it has no body.
  std::vector<Body> response{};  ///< Of a success. Empty: it has no body.
};

}  // namespace openllm::server
