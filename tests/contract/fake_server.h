#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace openllm::contract {

/// A server on 127.0.0.1 that answers every request with the bytes of a function, then closes. For
/// what no good server would send.
class FakeServer {
 public:
  /// `answer` gets the head and the body of the request. An answer without end keeps the connection
  /// open until the client goes.
  struct Reply {
    std::string bytes{};
    bool hangs = false;
  };
  explicit FakeServer(std::function<Reply(const std::string& request)> answer);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int n_requests() const noexcept { return n_requests_; }

 private:
  void run();
  void serve(int fd);

  std::function<Reply(const std::string&)> answer_;
  int fd_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> n_requests_{0};
  std::thread thread_;
};

/// A whole HTTP answer.
std::string http_reply(int status, const std::string& content_type, const std::string& body,
                       const std::string& headers = "");
/// An event stream that ends with the connection.
std::string event_reply(std::initializer_list<std::string> events);

}  // namespace openllm::contract
