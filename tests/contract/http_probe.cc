#include "http_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace openllm::contract {

Probe::Probe(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect");
  }
}

Probe::~Probe() { close(); }

void Probe::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Probe::shut_down() { ::shutdown(fd_, SHUT_RDWR); }

std::size_t Probe::send_until_full(std::size_t most) {
  constexpr int kPauseMs = 1000;  // whoever reads does so within that
  const std::string bytes(std::size_t{1} << 16U, '\n');
  std::size_t n_sent = 0;
  pollfd poll_fd{fd_, POLLOUT, 0};
  while (::poll(&poll_fd, 1, kPauseMs) > 0 && n_sent < most) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) break;
    n_sent += static_cast<std::size_t>(n);
  }
  return n_sent;
}

void Probe::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// No test is about how long an answer takes: a machine that is this slow is broken.
constexpr int kPatienceMs = 120'000;

bool Probe::fill() { return fill(kPatienceMs); }

bool Probe::fill(int patience_ms) {
  pollfd poll_fd{fd_, POLLIN, 0};
  if (::poll(&poll_fd, 1, patience_ms) <= 0) return false;
  std::array<char, 65536> bytes{};
  const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  is_at_end_ = n <= 0;
  if (is_at_end_) return false;
  buffer_.append(bytes.data(), static_cast<std::size_t>(n));
  return true;
}

bool Probe::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos) {
    if (!fill()) return false;
  }
  return true;
}

bool Probe::is_closed_by_server() {
  while (fill()) buffer_.clear();
  return is_at_end_;
}

bool Probe::is_closed_by_now() {
  while (fill(0)) buffer_.clear();
  return is_at_end_;
}

Answer Probe::read_answer(bool head_only) {
  Answer answer;
  if (!read_until("\r\n\r\n")) return answer;
  std::size_t pos = buffer_.find("\r\n\r\n");
  const std::string head = buffer_.substr(0, pos + 2);
  buffer_.erase(0, pos + 4);
  answer.status = std::atoi(head.substr(9, 3).c_str());
  pos = head.find("\r\n") + 2;
  while (pos < head.size()) {
    const std::size_t end = head.find("\r\n", pos);
    const std::size_t colon = head.find(": ", pos);
    std::string name = head.substr(pos, colon - pos);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    // One that came twice is joined, as HTTP has it, so that no check takes it for one.
    std::string& value = answer.headers[name];
    if (!value.empty()) value += ", ";
    value += head.substr(colon + 2, end - colon - 2);
    pos = end + 2;
  }
  if (head_only || answer.status == 204 || answer.status == 100) return answer;
  if (answer.headers.count("content-length") > 0) {
    const std::size_t length = std::stoul(answer.headers["content-length"]);
    while (buffer_.size() < length && fill()) {
    }
    answer.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
  } else if (answer.headers.count("transfer-encoding") > 0) {
    for (;;) {
      if (!read_until("\r\n")) return answer;
      const std::size_t length = std::stoul(buffer_, nullptr, 16);
      const std::size_t begin = buffer_.find("\r\n") + 2;
      while (buffer_.size() < begin + length + 2 && fill()) {
      }
      answer.body += buffer_.substr(begin, length);
      buffer_.erase(0, begin + length + 2);
      if (length == 0) break;
    }
  } else {
    while (fill()) {
    }
    answer.body = std::exchange(buffer_, {});
  }
  return answer;
}

std::string get(const std::string& path, const std::string& headers) {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n";
}

std::string post(const std::string& path, const std::string& body, const std::string& headers) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}

Answer call(std::uint16_t port, const std::string& request) {
  Probe probe(port);
  probe.send(request);
  return probe.read_answer();
}

bool is_listening(std::uint16_t port) {
  try {
    const Probe probe(port);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

std::vector<std::string> events(const std::string& body) {
  std::vector<std::string> result;
  std::size_t pos = 0;
  while ((pos = body.find("data: ", pos)) != std::string::npos) {
    const std::size_t end = body.find("\n\n", pos);
    result.push_back(body.substr(pos + 6, end - pos - 6));
    pos = end;
  }
  return result;
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 12'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace openllm::contract
