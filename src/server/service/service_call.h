#pragma once

#include <optional>
#include <string>

#include "openllm/service.h"
#include "server/routes.h"
#include "server/service/call_context.h"
#include "server/service/handler_threads.h"

namespace openllm::server {

/// One call of an endpoint of a Service: between its code, which runs on other threads, and the
/// exchange, which lives on the I/O thread.
class ServiceCall final : public detail::HandlerCall {
 public:
  /// All must outlive it. `threads` runs the endpoint's code.
  ServiceCall(Call& call, const HandlerThreads& threads);

  Context& context() noexcept override { return context_; }
  const std::string& body() const noexcept override { return body_; }
  void answer(std::string body, const char* content_type) override;
  Task<bool> send(std::string json) override;
  void end_events() noexcept override { is_stream_ = true; }
  Task<void> follow(AsyncGenerationStream stream) override;

  /// Gives the answer to the exchange, after the endpoint has ended. On the I/O thread.
  void finish();

 private:
  void begin_events();

  Call& call_;
  const HandlerThreads& threads_;
  const std::string body_;
  CallContext context_;
  bool is_stream_ = false;
  std::optional<HttpResponse> answer_{};
};

/// Runs the endpoint for the call. `handler` and `threads` must outlive the task.
Task<void> serve_handler(Call& call, const detail::Handler& handler, const HandlerThreads& threads);

}  // namespace openllm::server
