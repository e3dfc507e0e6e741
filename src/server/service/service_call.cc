#include "server/service/service_call.h"

#include <exception>
#include <stop_token>
#include <utility>

#include "base/error.h"
#include "server/api/native_delta.h"
#include "server/dialect.h"
#include "server/generation.h"
#include "server/service/thread_hop.h"

namespace openllm::server {

ServiceCall::ServiceCall(Call& call, const HandlerThreads& threads)
    : call_(call), threads_(threads), body_(call.exchange.request().body), context_(call) {}

void ServiceCall::answer(std::string body, const char* content_type) {
  HttpResponse response;
  response.body = std::move(body);
  response.content_type = content_type == nullptr ? "" : content_type;
  response.status = content_type == nullptr ? 204 : 200;
  answer_ = std::move(response);
}

Task<bool> ServiceCall::send(std::string json) {
  co_await ThreadHop(call_.app.executor);
  begin_events();
  call_.exchange.send_event(json);
  co_await call_.exchange.drained();
  const bool goes_on = call_.exchange.cancelled() == Exchange::Cancel::kNo;
  co_await ThreadHop(threads_.executor());
  co_return goes_on;
}

Task<void> ServiceCall::follow(AsyncGenerationStream stream) {
  const std::stop_callback cancel(call_.exchange.stop_token(), [&] { stream.cancel(); });
  co_await stream.accepted();
  co_await ThreadHop(call_.app.executor);
  begin_events();
  NativeDeltas deltas;
  while (const GenerationOutput* output = co_await stream.next()) {
    co_await ThreadHop(call_.app.executor);
    require_answer(*output, call_.exchange);
    if (const std::optional<std::string> event = deltas.next(*output))
      call_.exchange.send_event(*event);
    co_await call_.exchange.drained();
  }
  co_await ThreadHop(call_.app.executor);
  is_stream_ = true;
}

void ServiceCall::finish() {
  if (is_stream_) {
    begin_events();  // if nothing was sent
    send_stream_end(call_.exchange, call_.dialect);
    return;
  }
  if (!answer_) base::fail(ErrorCode::kInternal, "server: the endpoint gave no answer");
  answer_->status = context_.status().value_or(answer_->status);
  answer_->headers.add(context_.headers());
  call_.exchange.respond(std::move(*answer_));
}

void ServiceCall::begin_events() {
  if (call_.exchange.expects_events()) return;
  if (context_.status().value_or(200) != 200)
    base::fail(ErrorCode::kInternal, "status: cannot be set for a stream of events");
  call_.exchange.common_headers().add(context_.headers());
  context_.seal();
  call_.exchange.expect_events();
}

Task<void> serve_handler(Call& call, const detail::Handler& handler,
                         const HandlerThreads& threads) {
  threads.require_room();
  ServiceCall service_call(call, threads);
  call.exchange.drop_body();
  std::exception_ptr failure;
  try {
    co_await ThreadHop(threads.executor());
    Task<void> running = handler.run(service_call);
    co_await running;
  } catch (...) {
    failure = std::current_exception();
  }
  co_await ThreadHop(call.app.executor);
  if (failure) std::rethrow_exception(failure);
  service_call.finish();
}

}  // namespace openllm::server
