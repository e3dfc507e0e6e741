#include "net/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "net/transfer.h"

namespace openllm::net {
namespace {

/// Performs the transfer. A stop ends it at once, also while nothing comes.
CURLcode perform(CURL* curl, const HttpCall& call) {
  const std::unique_ptr<CURLM, void (*)(CURLM*)> multi(
      curl_multi_init(), [](CURLM* handle) { curl_multi_cleanup(handle); });
  if (multi == nullptr || curl_multi_add_handle(multi.get(), curl) != CURLM_OK)
    return CURLE_OUT_OF_MEMORY;
  CURLcode result = CURLE_OK;
  {
    const std::stop_callback on_stop(call.stop_token, [&] { curl_multi_wakeup(multi.get()); });
    constexpr int kMostMs = 500;  // the silence is looked at that often
    int n_running = 1;
    while (n_running > 0 && !call.stop_token.stop_requested() && result == CURLE_OK) {
      if (curl_multi_perform(multi.get(), &n_running) != CURLM_OK ||
          (n_running > 0 &&
           curl_multi_poll(multi.get(), nullptr, 0, kMostMs, nullptr) != CURLM_OK)) {
        result = CURLE_FAILED_INIT;
      }
    }
    if (n_running > 0 && result == CURLE_OK) result = CURLE_ABORTED_BY_CALLBACK;
    int n_left = 0;
    if (const CURLMsg* end = curl_multi_info_read(multi.get(), &n_left); end != nullptr)
      result = end->data.result;
  }
  curl_multi_remove_handle(multi.get(), curl);
  return result;
}

}  // namespace

std::string_view HttpAnswer::field(std::string_view name) const noexcept {
  const auto found = std::find_if(fields.rbegin(), fields.rend(),
                                  [&](const auto& field) { return field.first == name; });
  return found == fields.rend() ? std::string_view() : std::string_view(found->second);
}

HttpAnswer http_call(const HttpCall& call) {
  Transfer transfer(call);
  return transfer.finish(perform(transfer.handle(), call));
}

std::string http_library_version() {
  const curl_version_info_data* info = curl_version_info(CURLVERSION_NOW);
  return info->version;
}

}  // namespace openllm::net
