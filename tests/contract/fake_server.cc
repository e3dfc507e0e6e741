#include "fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <stdexcept>

namespace openllm::contract {
namespace {

/// Content-Length of a request's head.
std::size_t body_length(const std::string& head) {
  const std::size_t at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
}

}  // namespace

FakeServer::FakeServer(std::function<Reply(const std::string&)> answer)
    : answer_(std::move(answer)), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd_, generic, size) != 0 || ::listen(fd_, 16) != 0 ||
      ::getsockname(fd_, generic, &size) != 0) {
    throw std::runtime_error("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  ::shutdown(fd_, SHUT_RDWR);
  thread_.join();
  ::close(fd_);
}

void FakeServer::run() {
  while (!stopping_) {
    const int client = ::accept(fd_, nullptr, nullptr);
    if (client < 0) continue;
    serve(client);
    ::close(client);
  }
}

void FakeServer::serve(int fd) {
  std::string request;
  std::array<char, 65536> bytes{};
  const auto fill = [&] {
    pollfd poll_fd{fd, POLLIN, 0};
    const ssize_t n =
        ::poll(&poll_fd, 1, 10'000) > 0 ? ::recv(fd, bytes.data(), bytes.size(), 0) : 0;
    if (n > 0) request.append(bytes.data(), static_cast<std::size_t>(n));
    return n > 0;
  };
  std::size_t end = std::string::npos;
  while ((end = request.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return;
  }
  const std::size_t size = end + 4 + body_length(request.substr(0, end));
  while (request.size() < size) {
    if (!fill()) return;
  }
  ++n_requests_;
  const Reply reply = answer_(request);
  ::send(fd, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
  while (reply.hangs && fill()) {
  }
}

std::string http_reply(int status, const std::string& content_type, const std::string& body,
                       const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + content_type +
         "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}

std::string event_reply(std::initializer_list<std::string> events) {
  std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
  for (const std::string& event : events) bytes += "data: " + event + "\n\n";
  return bytes;
}

}  // namespace openllm::contract
