#pragma once

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "openllm/server.h"
#include "server/app.h"
#include "server/http/transport.h"

namespace openllm::server {

/// Models and routes behind an address: what Server and Service are made of. Its methods are
/// theirs.
class AppServer {
 public:
  AppServer(std::vector<ServedModel> models, const ServerOptions& options, RouteTable routes,
            std::string title = "openllm");
  ~AppServer();
  AppServer(const AppServer&) = delete;
  AppServer& operator=(const AppServer&) = delete;

  void start();
  std::uint16_t port() const noexcept { return transport_.port(); }
  void wait_until_ready() const;
  void wait();
  void stop();

 private:
  void require_not_started();

  App app_;
  Transport transport_;
  std::thread loader_ GUARDED_BY(change_mutex_);
  base::Mutex change_mutex_;  // while starting or stopping
  mutable base::Mutex mutex_;
  base::CondVar stopped_;
  bool is_running_ GUARDED_BY(mutex_) = false;
  bool was_started_ GUARDED_BY(mutex_) = false;
};

}  // namespace openllm::server
