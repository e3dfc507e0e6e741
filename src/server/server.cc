#include "openllm/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "server/app.h"
#include "server/dialect.h"
#include "server/http/transport.h"
#include "server/routes.h"

namespace openllm {
namespace {

void check_options(const ServerOptions& options) {
  const auto require = [](bool holds, const char* field, const char* expected, std::int64_t got) {
    if (!holds) {
      base::fail(ErrorCode::kInvalidArgument, field, ": out of range (expected ", expected,
                 ", got ", got, ")");
    }
  };
  if (options.host.empty())
    base::fail(ErrorCode::kInvalidArgument, "host: empty (0.0.0.0 or :: is every address)");
  for (const std::string& key : options.api_keys) {
    const bool is_printable =
        std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    // Spaces at the ends do not survive the way through a header field.
    if (key.empty() || !is_printable || key.front() == ' ' || key.back() == ' ') {
      base::fail(ErrorCode::kInvalidArgument, "api_keys: a key ",
                 key.empty() ? "is empty" : "has characters that no client can send",
                 " (expected printable ASCII)");
    }
  }
  for (const std::string& alias : options.model_aliases) {
    if (alias.empty()) base::fail(ErrorCode::kInvalidArgument, "model_aliases: a name is empty");
  }
  require(options.max_body_bytes >= 1, "max_body_bytes", ">= 1", 0);
  require(options.max_connections >= 1, "max_connections", ">= 1", 0);
  require(options.header_timeout_s >= 1, "header_timeout_s", ">= 1", options.header_timeout_s);
  require(options.idle_timeout_s >= 1, "idle_timeout_s", ">= 1", options.idle_timeout_s);
  if (!(options.max_wait_s >= 0.0 && options.max_wait_s <= 1e6)) {
    base::fail(ErrorCode::kInvalidArgument, "max_wait_s: out of range (expected 0 to 1e6, got ",
               options.max_wait_s, ")");
  }
  require(options.shutdown_timeout_s >= 0, "shutdown_timeout_s", ">= 0",
          options.shutdown_timeout_s);
}

/// The options, once they are known to be right.
const ServerOptions& checked(const ServerOptions& options) {
  check_options(options);
  return options;
}

server::TransportOptions transport_options(const ServerOptions& options) {
  server::TransportOptions result;
  result.host = options.host;
  if (result.host.size() > 2 && result.host.front() == '[' && result.host.back() == ']')
    result.host = result.host.substr(1, result.host.size() - 2);  // as URLs write IPv6
  result.port = options.port;
  result.max_body_bytes = options.max_body_bytes;
  result.max_connections = options.max_connections;
  result.header_timeout = std::chrono::seconds(options.header_timeout_s);
  result.idle_timeout = std::chrono::seconds(options.idle_timeout_s);
  result.shutdown_timeout = std::chrono::seconds(options.shutdown_timeout_s);
  return result;
}

}  // namespace

class [[gnu::visibility("hidden")]] Server::Impl {
 public:
  Impl(std::vector<ServedModel> models, const ServerOptions& options)
      : app_(std::move(models), checked(options)),
        transport_(
            transport_options(options),
            [this](std::shared_ptr<server::Exchange> exchange) {
              server::dispatch(app_, std::move(exchange));
            },
            [this](int status, const std::string& message, const server::Headers& request) {
              server::HttpResponse response = server::error_response(
                  server::kOpenAiDialect, server::error_report(status, message));
              app_.cors().add_headers(request, response.headers);
              return response;
            },
            [this](const server::HttpRequest& head) { return server::missing_key(app_, head); }) {
    app_.executor = transport_.executor();
    app_.transport_stats = [this] { return transport_.stats(); };
  }
  ~Impl() { stop(); }

  void start() {
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

  std::uint16_t port() const noexcept { return transport_.port(); }

  void wait_until_ready() const {
    {
      const base::MutexLock lock(mutex_);
      if (!was_started_) base::fail(ErrorCode::kInvalidArgument, "server: not started");
    }
    app_.models().wait_until_loaded();
  }

  void wait() {
    base::MutexLock lock(mutex_);
    while (is_running_) stopped_.wait(lock);
  }

  void stop() {
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

 private:
  void require_not_started() {
    const base::MutexLock lock(mutex_);
    if (!was_started_) return;
    base::fail(ErrorCode::kInvalidArgument,
               "server: ", is_running_ ? "runs already" : "was stopped (make another one)");
  }

  server::App app_;
  server::Transport transport_;
  std::thread loader_ GUARDED_BY(change_mutex_);
  base::Mutex change_mutex_;  // while starting or stopping
  mutable base::Mutex mutex_;
  base::CondVar stopped_;
  bool is_running_ GUARDED_BY(mutex_) = false;
  bool was_started_ GUARDED_BY(mutex_) = false;
};

Server::Server(LLM llm, const ServerOptions& options)
    : Server(std::vector<ServedModel>{ServedModel{std::move(llm)}}, options) {}
Server::Server(std::vector<ServedModel> models, const ServerOptions& options)
    : impl_(std::make_unique<Impl>(std::move(models), options)) {}
Server::~Server() = default;
void Server::start() { impl_->start(); }
std::uint16_t Server::port() const noexcept { return impl_->port(); }
void Server::wait_until_ready() const { impl_->wait_until_ready(); }
void Server::wait() { impl_->wait(); }
void Server::stop() { impl_->stop(); }

}  // namespace openllm
