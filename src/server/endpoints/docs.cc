#include <utility>

#include "server/docs/index_page.h"
#include "server/docs/openapi.h"
#include "server/routes.h"

namespace openllm::server {

Task<void> show_docs(Call& call) {
  HttpResponse response;
  response.body =
      openapi_document(call.app.routes(), call.app.title(), !call.app.options().api_keys.empty());
  call.exchange.respond(std::move(response));
  co_return;
}

Task<void> show_index(Call& call) {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = index_page(call.app.routes(), call.app.title());
  response.headers.add("Content-Security-Policy", "default-src 'none'");
  call.exchange.respond(std::move(response));
  co_return;
}

}  // namespace openllm::server
