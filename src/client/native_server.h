#pragma once

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "client/api.h"
#include "client/caller.h"
#include "client/metadata.h"
#include "openllm/http_client.h"

namespace openllm::client {

/// A server that is asked by its native routes: what HTTPClient and AsyncHTTPClient share. Thread
/// safety: every method from any thread.
class [[gnu::visibility("hidden")]] NativeServer {
 public:
  /// `name` of the client, for the server. Throws kInvalidArgument for options that cannot be used.
  NativeServer(HTTPClientOptions options, std::string_view name);

  const Caller& caller() const noexcept { return caller_; }
  std::string base_url() const { return caller_.address() + "/" + options_.api_version; }

  /// The API for one call. Throws kInvalidArgument once it is closed.
  std::shared_ptr<const Api> api(HTTPCallOptions call) const;
  bool health(const std::stop_token& stop = {}) const;
  Metadata metadata(const std::stop_token& stop = {}) const;
  std::string item(std::string_view name, const std::stop_token& stop = {}) const;
  std::string messages(const std::vector<Message>& messages, bool add_generation_prompt,
                       const std::stop_token& stop = {}) const;

  void close() const noexcept { is_closed_ = true; }
  bool is_closed() const noexcept { return is_closed_; }
  void require_open() const;

 private:
  std::string route(std::string_view name) const;
  std::string ask(std::string_view name, std::string body, const std::stop_token& stop) const;
  const MetadataAnswer& known_metadata(const std::stop_token& stop) const REQUIRES(mutex_);

  const HTTPClientOptions options_;
  const Caller caller_;
  mutable std::atomic<bool> is_closed_{false};
  mutable base::Mutex mutex_;
  mutable std::unique_ptr<const MetadataAnswer> metadata_ GUARDED_BY(mutex_);
};

}  // namespace openllm::client
