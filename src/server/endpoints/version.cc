#include <string>
#include <utility>

#include "openllm/version.h"
#include "server/routes.h"

namespace openllm::server {

Task<Nothing> show_version(App& /*app*/, Exchange& exchange) {
  HttpResponse response;
  response.body = R"({"version":")" + std::string(version()) + R"("})";
  exchange.respond(std::move(response));
  co_return Nothing{};
}

}  // namespace openllm::server
