#include "server/app_server.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "server/dialect.h"
#include "server/routes.h"

namespace openllm::server {
namespace {

void check_options(const ServerOptions& options) {
  const auto require = [](bool holds, const char* field, const char* expected, std::int64_t got) {
    if (!holds) {
      base::fail_at(ErrorCode::kInvalidArgument, field, "out of range (expected ", expected,
                    ", got ", got, ")");
    }
  };
  if (options.host.empty())
    base::fail_at(ErrorCode::kInvalidArgument, "host", "empty (0.0.0.0 or :: is every address)");
  for (const std::string& key : options.api_keys) {
    const bool is_printable =
        std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    // Spaces at the ends do not survive the way through a header field.
    if (key.empty() || !is_printable || key.front() == ' ' || key.back() == ' ') {
      base::fail_at(ErrorCode::kInvalidArgument, "api_keys", "a key ",
                    key.empty() ? "is empty" : "has characters that no client can send",
                    " (expected printable ASCII)");
    }
  }
  for (const std::string& alias : options.model_aliases) {
    if (alias.empty())
      base::fail_at(ErrorCode::kInvalidArgument, "model_aliases", "a name is empty");
  }
  require(options.max_body_bytes >= 1, "max_body_bytes", ">= 1", 0);
  require(options.max_connections >= 1, "max_connections", ">= 1", 0);
  require(options.header_timeout_s >= 1, "header_timeout_s", ">= 1", options.header_timeout_s);
  require(options.idle_timeout_s >= 1, "idle_timeout_s", ">= 1", options.idle_timeout_s);
  if (!(options.max_wait_s >= 0.0 && options.max_wait_s <= 1e6)) {
    base::fail_at(ErrorCode::kInvalidArgument, "max_wait_s",
                  "out of range (expected 0 to 1e6, got ", options.max_wait_s, ")");
  }
  require(options.max_new_tokens.value_or(0) >= -1, "max_new_tokens", ">= -1",
          options.max_new_tokens.value_or(0));
  require(options.shutdown_timeout_s >= 0, "shutdown_timeout_s", ">= 0",
          options.shutdown_timeout_s);
  require(options.request_timeout_s >= 0, "request_timeout_s", ">= 0", options.request_timeout_s);
  require(options.backlog >= 0, "backlog", ">= 0", options.backlog);
  require(options.handler_threads >= 0 && options.handler_threads <= 10'000, "handler_threads",
          "0 to 10000", options.handler_threads);
}

/// The options, once they are known to be right.
const ServerOptions& checked(const ServerOptions& options) {
  check_options(options);
  return options;
}

TransportOptions transport_options(const ServerOptions& options) {
  TransportOptions result;
  result.host = options.host;
  if (result.host.size() > 2 && result.host.front() == '[' && result.host.back() == ']')
    result.host = result.host.substr(1, result.host.size() - 2);  // as URLs write IPv6
  result.port = options.port;
  result.max_body_bytes = options.max_body_bytes;
  result.max_connections = options.max_connections;
  result.header_timeout = std::chrono::seconds(options.header_timeout_s);
  result.idle_timeout = std::chrono::seconds(options.idle_timeout_s);
  result.backlog = options.backlog;
  result.shutdown_timeout = std::chrono::seconds(options.shutdown_timeout_s);
  return result;
}

}  // namespace

AppServer::AppServer(std::vector<ServedModel> models, const ServerOptions& options,
                     RouteTable routes, std::string title)
    : app_(std::move(models), checked(options), std::move(routes), std::move(title)),
      transport_(
          transport_options(options),
          [this](std::shared_ptr<Exchange> exchange) { dispatch(app_, std::move(exchange)); },
          [this](int status, const std::string& message, const Headers& request) {
            HttpResponse response = error_response(kOpenAiDialect, error_report(status, message));
            app_.cors().add_headers(request, response.headers);
            return response;
          },
          [this](const HttpRequest& head) { return refuse_head(app_, head); }) {
  app_.executor = transport_.executor();
  app_.transport_stats = [this] { return transport_.stats(); };
}

AppServer::~AppServer() { stop(); }

void AppServer::start() {
  const base::MutexLock changing(change_mutex_);
  require_not_started();
  app_.large_bodies.start();
  transport_.start();
  try {
    loader_ = base::start_thread([this] { app_.models().load(); });
  } catch (...) {  // nobody would load the model that requests wait for
    transport_.stop();
    throw;
  }
  const base::MutexLock lock(mutex_);
  is_running_ = was_started_ = true;
}

void AppServer::wait_until_ready() const {
  {
    const base::MutexLock lock(mutex_);
    if (!was_started_) base::fail(ErrorCode::kInvalidArgument, "server: not started");
  }
  app_.models().wait_until_loaded();
}

void AppServer::wait() {
  base::MutexLock lock(mutex_);
  while (is_running_) stopped_.wait(lock);
}

void AppServer::stop() {
  const base::MutexLock changing(change_mutex_);
  if (loader_.joinable()) app_.models().stop_loading();
  transport_.stop();
  if (loader_.joinable()) loader_.join();
  {
    const base::MutexLock lock(mutex_);
    is_running_ = false;
  }
  stopped_.notify_all();
}

void AppServer::require_not_started() {
  const base::MutexLock lock(mutex_);
  if (!was_started_) return;
  base::fail(ErrorCode::kInvalidArgument,
             "server: ", is_running_ ? "runs already" : "was stopped (make another one)");
}

}  // namespace openllm::server
