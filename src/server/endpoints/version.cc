#include <utility>

#include "server/routes.h"

namespace openllm::server {

Task<void> show_version(Call& call) {
  HttpResponse response;
  response.body = R"({"version":")" OPENLLM_VERSION R"("})";
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
