#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/message.h"

namespace openllm::server {

/// Reads one HTTP request from bytes as they come. Knows nothing of sockets.
class RequestReader {
 public:
  struct Limits {
    std::size_t head_bytes = std::size_t{64} << 10U;  ///< Also of what chunks have besides data.
    std::size_t target_bytes = std::size_t{8} << 10U;
    std::size_t n_fields = 256;
    std::size_t body_bytes = std::size_t{16} << 20U;
  };
  /// Why a request is refused.
  struct Problem {
    int status = 0;  ///< 0: it is not.
    std::string what{};
  };

  explicit RequestReader(const Limits& limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Returns how many of the bytes are taken; 0 while more are needed to go on. None may follow
  /// those of a whole request, nor a problem.
  std::size_t put(std::string_view data);
  const Problem& problem() const noexcept { return problem_; }
  bool has_head() const noexcept { return has_head_; }
  bool is_done() const;

  /// Method, target and fields, as far as they have been read.
  const HttpRequest& head();
  /// The client waits for an interim answer before it sends the body (never with HTTP/1.0, RFC
  /// 9110, 10.1.1).
  bool is_expecting() const;
  /// The body is still to come, and too long to come with the head.
  bool has_long_body_ahead() const;
  /// The whole request. Fields behind a chunked body are dropped: they are no header fields (RFC
  /// 9110, 6.5.1).
  HttpRequest take();

 private:
  class Parser;

  void refuse(int status, std::string what) { problem_ = {status, std::move(what)}; }
  bool check_head_size(std::string_view data);
  bool check_lines(std::string_view data);
  void check_head();
  void check_expectation();
  void check_coding();
  void read_head();

  const Limits limits_;
  const std::unique_ptr<Parser> parser_;
  HttpRequest head_;
  Problem problem_;
  bool has_head_ = false;
  bool has_line_ = false;         // the request line was taken
  std::size_t n_head_bytes_ = 0;  // of the head, taken so far
};

}  // namespace openllm::server
