#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "openllm/service.h"
#include "server/http/message.h"
#include "server/routes.h"

namespace openllm::server {

/// What an endpoint of a Service knows of its call. Reads a request that nobody changes meanwhile.
class CallContext final : public Context {
 public:
  /// `call` must outlive it.
  explicit CallContext(const Call& call);

  const std::string& request_id() const noexcept override { return exchange_.request_id(); }
  std::string path() const override;
  std::string_view header(std::string_view name) const noexcept override {
    return exchange_.request().headers.find(name);
  }
  std::string query(std::string_view name) const override;
  std::stop_token stop_token() const noexcept override { return exchange_.stop_token(); }
  GenerateOptions options(const GenerateOptions& options) const override;
  void set_status(int status) override;
  void set_header(std::string_view name, std::string_view value) override;

  // For the server.
  std::optional<int> status() const noexcept { return status_; }
  const Headers& headers() const noexcept { return headers_; }
  /// Nothing can be set from now on.
  void seal() noexcept { is_sealed_ = true; }

 private:
  void require_open() const;

  const Exchange& exchange_;
  const std::string tenant_;
  const std::optional<std::chrono::milliseconds> max_wait_;
  std::optional<int> status_{};
  Headers headers_{};
  bool is_sealed_ = false;
};

}  // namespace openllm::server
