#include "server/http/request_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::string_view kEndOfHead = "\r\n\r\n";

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// Part of a value that goes into a message.
std::string shown(std::string_view value) { return std::string(value.substr(0, 60)); }

}  // namespace

class RequestReader::Parser : public http::request_parser<http::string_body> {
 public:
  std::size_t count(http::field field) const {
    const auto range = get().equal_range(field);
    return static_cast<std::size_t>(std::distance(range.first, range.second));
  }
};

RequestReader::RequestReader(const Limits& limits)
    : limits_(limits), parser_(std::make_unique<Parser>()) {
  parser_->header_limit(static_cast<std::uint32_t>(limits.head_bytes));
  parser_->body_limit(limits.body_bytes);
  parser_->eager(false);  // stop behind the head: fields behind the body would be added to its own
}
RequestReader::~RequestReader() = default;

bool RequestReader::is_done() const { return parser_->is_done(); }

bool RequestReader::is_expecting() const {
  return has_head_ && !is_done() && !head_.is_http10 && head_.headers.contains("Expect");
}

bool RequestReader::has_long_body_ahead() const {
  constexpr std::uint64_t kShort = 64 * 1024;
  if (!has_head_ || is_done()) return false;
  const auto length = parser_->content_length();
  return is_expecting() || !length || *length > kShort;
}

std::size_t RequestReader::put(std::string_view data) {
  if (!has_head_ && (!check_head_size(data) || !check_lines(data))) return data.size();
  error_code ec;
  std::size_t n = 0;
  try {
    n = parser_->put(boost::asio::buffer(data.data(), data.size()), ec);
  } catch (const std::length_error&) {  // a field of more than 64 KiB
    n = data.size();
    ec = http::error::header_limit;
  }
  if (!has_head_) n_head_bytes_ += n;
  has_line_ = has_line_ || n > 0;
  if (ec == http::error::need_more) {
    ec = {};
    // The parser bounds the head, but neither the head of a chunk nor what follows the last one.
    if (parser_->is_header_done() && data.size() - n > limits_.head_bytes)
      ec = http::error::header_limit;
  }
  if (ec == http::error::header_limit) {
    refuse(431,
           base::cat("request head: too large (expected at most ", limits_.head_bytes, " bytes)"));
  } else if (ec == http::error::body_limit) {
    refuse(413,
           base::cat("request body: too large (expected at most ", limits_.body_bytes, " bytes)"));
  } else if (ec == http::error::bad_version) {
    refuse(505, "request: not HTTP/1.1");
  } else if (ec) {
    refuse(400, base::cat("request: not valid HTTP/1.1 (", ec.message(), ")"));
  }
  if (!ec && parser_->is_header_done() && !has_head_) {
    read_head();
    has_head_ = true;
    parser_->eager(true);
    check_head();
  }
  return n;
}

/// The parser takes a head of any size that comes in one piece with its end.
bool RequestReader::check_head_size(std::string_view data) {
  const bool has_line = has_line_ || data.find("\r\n") != std::string_view::npos;
  const std::size_t end = data.find(kEndOfHead);
  const std::size_t size =
      n_head_bytes_ + (end == std::string_view::npos ? data.size() : end + kEndOfHead.size());
  if (size <= limits_.head_bytes) return true;
  if (has_line) {
    refuse(431,
           base::cat("request head: too large (expected at most ", limits_.head_bytes, " bytes)"));
  } else {
    refuse(414, base::cat("request target: too long (expected at most ", limits_.target_bytes,
                          " bytes)"));
  }
  return false;
}

/// The parser joins lines that begin with a space to those before; RFC 9112, 5.2, forbids them.
bool RequestReader::check_lines(std::string_view data) {
  const std::string_view head = data.substr(0, data.find(kEndOfHead));
  const bool begins_so = has_line_ && (head.starts_with(' ') || head.starts_with('\t'));
  if (!begins_so && head.find("\r\n ") == std::string_view::npos &&
      head.find("\r\n\t") == std::string_view::npos) {
    return true;
  }
  refuse(400, "request head: has a folded line (expected one line for each field)");
  return false;
}

const HttpRequest& RequestReader::head() {
  if (!has_head_) read_head();
  return head_;
}

void RequestReader::read_head() {
  const auto& message = parser_->get();
  head_ = {};
  head_.method = std::string(view(message.method_string()));
  set_target(head_, std::string(view(message.target())));
  for (const auto& field : message.base())
    head_.headers.add(view(field.name_string()), view(field.value()));
  head_.is_http10 = message.version() < 11;
  head_.keep_alive = parser_->keep_alive();
}

/// Faults of a head that the parser accepts and RFC 9112 does not.
void RequestReader::check_head() {
  if (parser_->get().target().size() > limits_.target_bytes) {
    return refuse(414, base::cat("request target: too long (expected at most ",
                                 limits_.target_bytes, " bytes)"));
  }
  if (const std::size_t n = head_.headers.fields().size(); n > limits_.n_fields) {
    return refuse(431, base::cat("request head: too many fields (expected at most ",
                                 limits_.n_fields, ", got ", n, ")"));
  }
  const std::size_t n_hosts = parser_->count(http::field::host);
  if (n_hosts > 1 || (n_hosts == 0 && !head_.is_http10)) {
    return refuse(400, base::cat("Host: wrong number of fields (expected 1, got ", n_hosts, ")"));
  }
  check_coding();
  if (problem_.status == 0) check_expectation();
}

/// Also where the body came without waiting: the client wants something that it does not get.
void RequestReader::check_expectation() {
  if (head_.is_http10) return;
  for (const auto& [name, value] : head_.headers.fields()) {
    if (!equal_ignoring_case(name, "Expect") || equal_ignoring_case(value, "100-continue"))
      continue;
    return refuse(417,
                  base::cat("Expect: unsupported (expected 100-continue, got ", shown(value), ")"));
  }
}

void RequestReader::check_coding() {
  const std::size_t n_codings = parser_->count(http::field::transfer_encoding);
  if (parser_->count(http::field::content_length) > (n_codings > 0 ? 0U : 1U)) {
    return refuse(400, n_codings > 0 ? "Content-Length: not allowed together with Transfer-Encoding"
                                     : "Content-Length: more than one");
  }
  const std::string_view length = head_.headers.find("Content-Length");
  if (length.find_first_not_of("0123456789") != std::string_view::npos)
    return refuse(400, base::cat("Content-Length: not a number (got ", shown(length), ")"));
  if (n_codings == 0) return;
  // HTTP/1.0 has no codings: whoever passed such a message on may have seen another end of it.
  if (head_.is_http10) return refuse(400, "Transfer-Encoding: not allowed with HTTP/1.0");
  // The end of a body in any other coding cannot be told: what follows would be taken for the next
  // request.
  const std::string_view coding = head_.headers.find("Transfer-Encoding");
  if (n_codings > 1 || !equal_ignoring_case(coding, "chunked")) {
    refuse(501,
           base::cat("Transfer-Encoding: unsupported (expected chunked, got ", shown(coding), ")"));
  }
}

HttpRequest RequestReader::take() {
  head_.body = std::move(parser_->get().body());
  return std::move(head_);
}

}  // namespace openllm::server
