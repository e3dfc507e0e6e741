#include "openllm/server.h"

#include <utility>

#include "base/error.h"
#include "server/app_server.h"
#include "server/routes.h"

namespace openllm {

namespace {

std::vector<ServedModel> some(std::vector<ServedModel> models) {
  if (models.empty())
    base::fail_at(ErrorCode::kInvalidArgument, "models", "none (expected at least one)");
  return models;
}

}  // namespace

class [[gnu::visibility("hidden")]] Server::Impl : public server::AppServer {
 public:
  using AppServer::AppServer;
};

Server::Server(LLM llm, const ServerOptions& options)
    : Server(std::vector<ServedModel>{ServedModel{std::move(llm)}}, options) {}
Server::Server(std::vector<ServedModel> models, const ServerOptions& options)
    : impl_(std::make_unique<Impl>(some(std::move(models)), options, server::built_in_routes())) {}
Server::~Server() = default;
void Server::start() { impl_->start(); }
std::uint16_t Server::port() const noexcept { return impl_->port(); }
void Server::wait_until_ready() const { impl_->wait_until_ready(); }
void Server::wait() { impl_->wait(); }
void Server::stop() { impl_->stop(); }

}  // namespace openllm
