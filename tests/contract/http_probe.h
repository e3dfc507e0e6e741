#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace openllm::contract {

/// An answer as it was on the wire.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers{};  ///< Names in small letters.
  std::string body{};                            ///< Without chunk framing.
  base::Json json() const { return base::Json::parse(body, "answer"); }
};

/// A raw connection to 127.0.0.1, to say what no HTTP library would.
class Probe {
 public:
  explicit Probe(std::uint16_t port);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void send(std::string_view bytes);
  /// Reads one answer; status 0 when the connection ended before its head was whole. `head_only`
  /// for HEAD.
  Answer read_answer(bool head_only = false);
  /// Reads until `text` has come; false at the end of the connection or after two minutes.
  bool read_until(std::string_view text);
  /// Waits until the server closes (what still comes is dropped); false after two minutes.
  bool is_closed_by_server();
  /// The same without waiting.
  bool is_closed_by_now();
  void close();
  /// Says that nothing more will be sent or read; wakes who waits in either.
  void shut_down();
  /// Sends until the other side takes nothing more, or that much; returns how much it took.
  std::size_t send_until_full(std::size_t most);

 private:
  bool fill(int patience_ms);
  bool fill();
  bool is_at_end_ = false;  // the server has closed its side, or the connection is gone
  int fd_ = -1;
  std::string buffer_;
};

std::string get(const std::string& path, const std::string& headers = "");
std::string post(const std::string& path, const std::string& body, const std::string& headers = "");
/// One request on a connection of its own.
Answer call(std::uint16_t port, const std::string& request);
/// Whether something accepts connections there.
bool is_listening(std::uint16_t port);
/// Data of the events of a stream.
std::vector<std::string> events(const std::string& body);
/// Waits for `condition`, two minutes at most.
bool eventually(const std::function<bool()>& condition);

}  // namespace openllm::contract
