#pragma once

#include <string>

#include "server/route_table.h"

namespace openllm::server {

/// The OpenAPI 3.1 document of the routes. `title`: of the service.
std::string openapi_document(const RouteTable& routes, const std::string& title, bool wants_keys);

}  // namespace openllm::server
