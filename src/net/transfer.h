#pragma once

#include <curl/curl.h>

#include <memory>

#include "net/http.h"

namespace openllm::net {

/// libcurl wants this before its first handle; any number of calls.
void initialise_curl();

struct TransferState;

/// One HTTP call as a handle of libcurl, for whoever drives handles. Stays where it is: the handle
/// points to it.
class Transfer {
 public:
  /// Throws kResourceExhausted when there is no handle to be had.
  explicit Transfer(HttpCall call);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* handle() const noexcept;
  const HttpCall& call() const noexcept;
  /// The answer of the transfer, which has ended with `result`; throws as http_call. Once.
  HttpAnswer finish(CURLcode result);

 private:
  std::unique_ptr<TransferState> state_;
};

}  // namespace openllm::net
