#include <string>
#include <utility>

#include "openllm/version.h"
#include "server/routes.h"

namespace openllm::server {

Task<void> show_version(Call& call) {
  HttpResponse response;
  response.body = R"({"version":")" + std::string(version()) + R"("})";
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
