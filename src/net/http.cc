#include "net/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <climits>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "net/url.h"

namespace openllm::net {
namespace {

using Clock = std::chrono::steady_clock;

struct State {
  const HttpCall* call = nullptr;
  CURL* curl = nullptr;
  HttpAnswer answer{};
  std::exception_ptr error{};
  Clock::time_point last_byte = Clock::now();
  bool timed_out = false;
  bool has_fine_retry_after = false;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Whether the body of this answer is for `on_body`.
bool is_stream(const State& state) {
  long status = 0;
  curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200 || !state.call->on_body) return false;
  const char* type = nullptr;
  curl_easy_getinfo(state.curl, CURLINFO_CONTENT_TYPE, &type);
  if (type == nullptr) return true;
  const std::string name = lower(type);
  return name.rfind("application/json", 0) != 0 && name.rfind("text/html", 0) != 0;
}

/// `slack`: how much too early counts too.
bool is_late(const State& state, std::chrono::milliseconds slack = {}) {
  return state.call->deadline && Clock::now() + slack >= *state.call->deadline;
}

constexpr std::size_t kMaxBody = std::size_t{256} << 20U;

std::size_t on_bytes(char* data, std::size_t size, std::size_t count, void* user) {
  State& state = *static_cast<State*>(user);
  const std::string_view bytes(data, size * count);
  state.last_byte = Clock::now();
  try {
    if (is_stream(state)) {
      if (state.call->on_body(bytes)) return bytes.size();
      state.answer.was_ended = true;
      return 0;  // curl ends the transfer
    }
    if (state.answer.body.size() + bytes.size() > kMaxBody)
      base::fail(ErrorCode::kIo, state.call->where, ": answer too large");
    state.answer.body += bytes;
    return bytes.size();
  } catch (...) {
    state.error = std::current_exception();
    return 0;
  }
}

/// "retry-after: 2", or OpenAI's "retry-after-ms: 1500", which is finer and wins. Dates are not
/// read.
void read_retry_after(State& state, std::string_view line) {
  constexpr std::string_view kSeconds = "retry-after:";
  constexpr std::string_view kMilliseconds = "retry-after-ms:";
  const bool is_fine = line.starts_with(kMilliseconds);
  if (!is_fine && !line.starts_with(kSeconds)) return;
  line.remove_prefix((is_fine ? kMilliseconds : kSeconds).size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  double value = -1.0;
  std::from_chars(line.data(), line.data() + line.size(), value);
  constexpr double kMost = 1e9;
  if (!(value >= 0.0) || (!is_fine && state.has_fine_retry_after)) return;
  state.has_fine_retry_after = is_fine;
  state.answer.retry_after = std::chrono::milliseconds(
      static_cast<std::int64_t>(std::min(is_fine ? value : value * 1000.0, kMost)));
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  State& state = *static_cast<State*>(user);
  state.last_byte = Clock::now();
  const std::string_view given(data, size * count);
  const std::string line = lower(std::string(given));
  read_retry_after(state, line);
  constexpr std::string_view kLocation = "location:";
  if (line.substr(0, kLocation.size()) == kLocation) {
    const std::size_t begin = given.find_first_not_of(' ', kLocation.size());
    const std::size_t end = given.find_last_not_of("\r\n ");
    if (begin < end) state.answer.location = given.substr(begin, end - begin + 1);
  }
  return size * count;
}

int on_progress(void* user, curl_off_t /*total*/, curl_off_t /*now*/, curl_off_t /*up_total*/,
                curl_off_t /*up*/) {
  State& state = *static_cast<State*>(user);
  if (state.call->stop_token.stop_requested()) {
    state.answer.was_ended = true;
    return 1;
  }
  if (is_late(state)) {
    state.answer.was_ended = state.answer.is_late = true;
    return 1;
  }
  if (Clock::now() - state.last_byte > std::chrono::seconds(state.call->timeout_s)) {
    state.timed_out = true;
    return 1;
  }
  return 0;
}

void initialise_curl() {
  static std::once_flag once;  // curl wants this before the first handle, once per process
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

/// A proxy knows nothing of this machine's loopback addresses, whatever the environment says about
/// proxies.
bool is_loopback(const std::string& text) {
  const std::optional<Url> url = parse_url(text);
  return url && url->is_loopback();
}

/// Milliseconds until the deadline; at least 1, as 0 means none to curl, and no more than it can
/// count.
long milliseconds_left(const HttpCall& call) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(*call.deadline - Clock::now());
  return static_cast<long>(std::clamp<std::int64_t>(left.count() + 1, 1, INT_MAX));
}

void set_options(CURL* curl, const HttpCall& call, State& state, curl_slist* headers) {
  curl_easy_setopt(curl, CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(std::min(call.timeout_s, 30)));
  if (call.deadline) curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds_left(call));
  if (is_loopback(call.url)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "openllm");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  if (!call.body.empty()) {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &state);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &state);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &state);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

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

HttpAnswer http_call(const HttpCall& call) {
  initialise_curl();
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(
      curl_easy_init(), [](CURL* handle) { curl_easy_cleanup(handle); });
  if (curl == nullptr)
    base::fail(ErrorCode::kResourceExhausted, call.where, ": cannot make a curl handle");
  curl_slist* list = nullptr;
  if (!call.body.empty()) list = curl_slist_append(list, "Content-Type: application/json");
  if (!call.body.empty()) list = curl_slist_append(list, "Expect:");
  if (!call.api_key.empty())
    list = curl_slist_append(list, ("Authorization: Bearer " + call.api_key).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
      list, [](curl_slist* all) { curl_slist_free_all(all); });
  State state;
  state.call = &call;
  state.curl = curl.get();
  set_options(curl.get(), call, state, headers.get());
  const CURLcode result = perform(curl.get(), call);
  if (result == CURLE_ABORTED_BY_CALLBACK && call.stop_token.stop_requested())
    state.answer.was_ended = true;
  if (state.error) std::rethrow_exception(state.error);
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  state.answer.status = static_cast<int>(status);
  // curl counts in whole milliseconds and may wake one or two before the deadline.
  constexpr std::chrono::milliseconds kEarly{10};
  if (result == CURLE_OPERATION_TIMEDOUT && is_late(state, kEarly))
    state.answer.was_ended = state.answer.is_late = true;
  if (result == CURLE_OK || state.answer.was_ended) return state.answer;
  if (state.timed_out || result == CURLE_OPERATION_TIMEDOUT) {
    base::fail(ErrorCode::kDeadline, call.where, ": no answer from ", shown_url(call.url), " for ",
               call.timeout_s, " s");
  }
  if (result == CURLE_URL_MALFORMAT)
    base::fail(ErrorCode::kInvalidArgument, call.where,
               ": not a usable address: ", shown_url(call.url));
  if (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST) {
    base::fail(ErrorCode::kUnavailable, call.where, ": cannot reach ", shown_url(call.url), " (",
               curl_easy_strerror(result), ")");
  }
  base::fail(ErrorCode::kIo, call.where, ": ", shown_url(call.url), " failed (",
             curl_easy_strerror(result), ")");
}

}  // namespace openllm::net
