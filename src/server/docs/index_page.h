#pragma once

#include <string>

#include "server/route_table.h"

namespace openllm::server {

/// A page for people: the routes with what they do. `title`: of the service.
std::string index_page(const RouteTable& routes, const std::string& title);

}  // namespace openllm::server
