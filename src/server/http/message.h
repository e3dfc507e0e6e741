#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace openllm::server {

/// Header fields in the order of the message. Names compare without regard to letter case.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  void add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }
  void add(const Headers& more) {
    fields_.insert(fields_.end(), more.fields_.begin(), more.fields_.end());
  }
  /// The first field of that name; empty if absent.
  std::string_view find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept;
  const std::vector<Field>& fields() const noexcept { return fields_; }

 private:
  std::vector<Field> fields_;
};

struct HttpRequest {
  std::string method{};
  std::string path{};  ///< Without query; still percent-encoded.
  std::string query{};
  Headers headers{};
  std::string body{};
  bool is_http10 = false;
  bool keep_alive = true;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  Headers headers{};  ///< Besides content type and length.
};

/// "Not Found" for 404; "Unknown" for numbers we never send.
std::string_view reason_phrase(int status) noexcept;

/// Decodes %XX; nullopt for a broken escape.
std::optional<std::string> percent_decode(std::string_view text);

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Sets path and query from the target of a request line. Of the absolute form, as sent to proxies,
/// only path and query matter here.
void set_target(HttpRequest& request, std::string_view target);

/// "application/json" of "Application/JSON; charset=utf-8".
std::string media_type(std::string_view content_type);

/// The head of an answer with the empty line. `length`: nullopt means a chunked body, or on
/// HTTP/1.0 one that ends with the connection.
std::string make_head(const HttpResponse& response, std::optional<std::size_t> length,
                      const HttpRequest& request, bool keep_alive);

/// The current time as HTTP wants it, for example "Tue, 24 Nov 2026 21:36:44 GMT".
std::string http_date(std::int64_t epoch_seconds);

}  // namespace openllm::server
