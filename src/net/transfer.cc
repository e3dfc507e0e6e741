#include "net/transfer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <climits>
#include <cstdint>
#include <exception>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "net/answer_fields.h"
#include "net/url.h"

namespace openllm::net {

using Clock = std::chrono::steady_clock;
using HeaderList = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

struct TransferState {
  HttpCall call{};
  CURL* curl = nullptr;
  HttpAnswer answer{};
  std::exception_ptr error{};
  Clock::time_point last_byte = Clock::now();
  bool timed_out = false;
  AnswerFieldReader fields{};
  std::array<char, CURL_ERROR_SIZE> details{};  ///< Of an error, where curl has more to say.
  bool was_head_told = false;
  /// The empty line behind it came; curl takes a cut head for a whole.
  bool is_head_whole = false;
  HeaderList headers{nullptr, [](curl_slist* all) { curl_slist_free_all(all); }};

  TransferState() = default;
  TransferState(const TransferState&) = delete;
  TransferState& operator=(const TransferState&) = delete;
  ~TransferState() {
    if (curl != nullptr) curl_easy_cleanup(curl);
  }
};

namespace {

using State = TransferState;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Whether the body of this answer is for `on_body`.
bool is_stream(const State& state) {
  long status = 0;
  curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &status);
  const bool is_good = status == 200 || (status == 206 && state.call.is_file);
  if (!is_good || !state.call.on_body) return false;
  if (state.call.is_file) return true;
  const char* type = nullptr;
  curl_easy_getinfo(state.curl, CURLINFO_CONTENT_TYPE, &type);
  if (type == nullptr) return true;
  const std::string name = lower(type);
  return name.rfind("application/json", 0) != 0 && name.rfind("text/html", 0) != 0;
}

/// `slack`: how much too early counts too.
bool is_late(const State& state, std::chrono::milliseconds slack = {}) {
  return state.call.deadline && Clock::now() + slack >= state.call.deadline;
}

/// Lets the caller see the head once. False: the call ends.
bool told_of_head(State& state) {
  if (state.was_head_told || !state.call.on_head) return true;
  state.was_head_told = true;
  long status = 0;
  curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &status);
  state.answer.status = static_cast<int>(status);
  if (state.call.on_head(state.answer)) return true;
  state.answer.was_ended = true;
  return false;
}

constexpr std::size_t kMaxBody = std::size_t{256} << 20U;

std::size_t on_bytes(char* data, std::size_t size, std::size_t count, void* user) {
  State& state = *static_cast<State*>(user);
  const std::string_view bytes(data, size * count);
  state.last_byte = Clock::now();
  try {
    if (!told_of_head(state)) return 0;
    if (is_stream(state)) {
      if (state.call.on_body(bytes)) return bytes.size();
      state.answer.was_ended = true;
      return 0;  // curl ends the transfer
    }
    if (state.answer.body.size() + bytes.size() > kMaxBody)
      base::fail(ErrorCode::kIo, state.call.where, ": answer too large");
    state.answer.body += bytes;
    return bytes.size();
  } catch (...) {
    state.error = std::current_exception();
    return 0;
  }
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  State& state = *static_cast<State*>(user);
  state.last_byte = Clock::now();
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) state.is_head_whole = false;  // a head behind another one
  if (line == "\r\n" || line == "\n") state.is_head_whole = true;
  state.fields.read(line, std::chrono::system_clock::now(), state.answer);
  return line.size();
}

int on_progress(void* user, curl_off_t /*total*/, curl_off_t /*now*/, curl_off_t /*up_total*/,
                curl_off_t /*up*/) {
  State& state = *static_cast<State*>(user);
  if (state.call.stop_token.stop_requested()) {
    state.answer.was_ended = true;
    return 1;
  }
  if (is_late(state)) {
    state.answer.was_ended = state.answer.is_late = true;
    return 1;
  }
  if (Clock::now() - state.last_byte > std::chrono::seconds(state.call.timeout_s)) {
    state.timed_out = true;
    return 1;
  }
  return 0;
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

void set_tls(CURL* curl, const Tls& tls) {
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (!tls.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, tls.ca_file.c_str());
}

void set_options(CURL* curl, const HttpCall& call, State& state, curl_slist* headers) {
  curl_easy_setopt(curl, CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(std::min(call.timeout_s, 30)));
  if (call.deadline) curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds_left(call));
  if (is_loopback(call.url)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  set_tls(curl, call.tls);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, state.details.data());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, call.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  if (call.is_file) curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L * 1024);
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

/// The fields of the head.
HeaderList header_list(const HttpCall& call) {
  HeaderList list(nullptr, [](curl_slist* all) { curl_slist_free_all(all); });
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr)
      base::fail(ErrorCode::kResourceExhausted, call.where, ": no memory for the head");
    (void)list.release();
    list.reset(longer);
  };
  if (!call.body.empty()) add("Content-Type: application/json");
  if (!call.body.empty()) add("Expect:");
  if (!call.api_key.empty()) add("Authorization: Bearer " + call.api_key);
  for (const std::string& line : call.headers) add(line);
  return list;
}

/// What a proxy answered to the wish for a tunnel; 0: none was asked.
long proxy_status(CURL* curl) {
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
  return status;
}

/// Throws the error of a transfer that was not ended by the caller.
[[noreturn]] void fail_transfer(const State& state, CURLcode result) {
  const HttpCall& call = state.call;
  const std::string url = shown_url(call.url);
  const std::string details =
      state.details[0] == '\0' ? curl_easy_strerror(result) : state.details.data();
  if (state.timed_out || result == CURLE_OPERATION_TIMEDOUT) {
    base::fail(ErrorCode::kDeadline, call.where, ": no answer from ", url, " for ", call.timeout_s,
               " s");
  }
  switch (result) {
    case CURLE_URL_MALFORMAT:
      base::fail(ErrorCode::kInvalidArgument, call.where, ": not a usable address: ", url);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      base::fail(ErrorCode::kUnavailable, call.where, ": cannot reach ", url, " (",
                 curl_easy_strerror(result), ")");
    case CURLE_PEER_FAILED_VERIFICATION:
      base::fail_with(ErrorCode::kIo, {kNotTrusted}, call.where, ": ", url,
                      " is not trusted (expected a certificate for this host by an authority that "
                      "is known here, got: ",
                      details, ")");
    case CURLE_SSL_CACERT_BADFILE:
      base::fail_at(ErrorCode::kInvalidArgument, "ca_file",
                    "cannot be used (expected certificates as PEM, got ", call.tls.ca_file, ")");
    case CURLE_COULDNT_RESOLVE_PROXY:
      base::fail(ErrorCode::kUnavailable, call.where, ": cannot reach the proxy for ", url, " (",
                 curl_easy_strerror(result), ")");
    default:
      if (const long status = proxy_status(state.curl); status >= 300) {
        base::fail(ErrorCode::kUnavailable, call.where, ": the proxy does not connect to ", url,
                   " (it answers ", status, ")");
      }
      base::fail(ErrorCode::kIo, call.where, ": ", url, " failed (", curl_easy_strerror(result),
                 ")");
  }
}

}  // namespace

Transfer::Transfer(HttpCall call) : state_(std::make_unique<TransferState>()) {
  initialise_curl();
  state_->call = std::move(call);
  state_->curl = curl_easy_init();
  if (state_->curl == nullptr)
    base::fail(ErrorCode::kResourceExhausted, state_->call.where, ": cannot make a curl handle");
  state_->headers = header_list(state_->call);
  set_options(state_->curl, state_->call, *state_, state_->headers.get());
}

Transfer::~Transfer() = default;

CURL* Transfer::handle() const noexcept { return state_->curl; }

const HttpCall& Transfer::call() const noexcept { return state_->call; }

HttpAnswer Transfer::finish(CURLcode result) {
  State& state = *state_;
  if (result == CURLE_OK && !state.is_head_whole) {
    base::fail(ErrorCode::kIo, state.call.where, ": ", shown_url(state.call.url),
               " failed (the connection ended within the head of the answer)");
  }
  if (result == CURLE_OK && !state.error) (void)told_of_head(state);  // of an answer without a body
  if (result == CURLE_ABORTED_BY_CALLBACK && state.call.stop_token.stop_requested())
    state.answer.was_ended = true;
  if (state.error) std::rethrow_exception(state.error);
  long status = 0;
  curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &status);
  state.answer.status = static_cast<int>(status);
  // curl counts in whole milliseconds and may wake one or two before the deadline.
  constexpr std::chrono::milliseconds kEarly{10};
  if (result == CURLE_OPERATION_TIMEDOUT && is_late(state, kEarly))
    state.answer.was_ended = state.answer.is_late = true;
  if (result == CURLE_OK || state.answer.was_ended) return std::move(state.answer);
  fail_transfer(state, result);
}

void initialise_curl() {
  static std::once_flag once;  // curl wants this before the first handle, once per process
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace openllm::net
