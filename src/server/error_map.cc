#include "server/error_map.h"

#include <array>
#include <new>

#include "base/json_writer.h"

namespace openllm::server {
namespace {

std::string_view error_type(int status) noexcept {
  switch (status) {
    case 429:
      return "rate_limit_error";
    case 501:  // the request is what is wrong
    case 505:
      return "invalid_request_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

/// OpenAI's machine-readable code, where it has one.
std::string_view default_code(int status, std::string_view message) noexcept {
  for (const std::string_view begin : {"prompt: too long", "request: prompt too long"}) {
    if (message.substr(0, begin.size()) == begin) return "context_length_exceeded";
  }
  switch (status) {
    case 401:
      return "invalid_api_key";
    case 405:
      return "method_not_allowed";
    case 429:
      return "rate_limit_exceeded";
    case 503:
      return "unavailable";
    case 504:
      return "deadline_exceeded";
    default:
      return {};
  }
}

/// The API's name for what the engine's messages are about: "request: prompt token 0: no such id",
/// "sampling: logit_bias: no such token".
std::string_view engine_field(std::string_view what) noexcept {
  struct Name {
    std::string_view ours{};
    std::string_view api{};
  };
  constexpr std::array<Name, 11> kNames{{{"prompt", "prompt"},
                                         {"empty prompt", "prompt"},
                                         {"max_new_tokens", "max_tokens"},
                                         {"min_new_tokens", "min_tokens"},
                                         {"temperature", "temperature"},
                                         {"top_p", "top_p"},
                                         {"min_p", "min_p"},
                                         {"repetition_penalty", "repetition_penalty"},
                                         {"presence_penalty", "presence_penalty"},
                                         {"frequency_penalty", "frequency_penalty"},
                                         {"logit_bias", "logit_bias"}}};
  for (const auto& [ours, api] : kNames) {
    if (what.substr(0, ours.size()) == ours) return api;
  }
  return {};
}

/// The library's messages begin with the field they are about.
std::string_view leading_field(std::string_view message) noexcept {
  for (const std::string_view layer : {"request: ", "sampling: "}) {
    if (message.substr(0, layer.size()) == layer) return engine_field(message.substr(layer.size()));
  }
  const std::size_t colon = message.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  for (const char c : message.substr(0, colon)) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '[' ||
                    c == ']' || c == '.';
    if (!ok) return {};
  }
  return message.substr(0, colon);
}

}  // namespace

int http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kUnsupported:
      return 400;
    case ErrorCode::kCorruptData:
      return 500;
    case ErrorCode::kResourceExhausted:
      return 400;  // the same request meets the limit again: no use in coming back
    case ErrorCode::kBusy:
      return 429;
    case ErrorCode::kCancelled:
      return 503;
    case ErrorCode::kDeadline:
      return 504;
    case ErrorCode::kIo:
      return 500;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

ErrorReport error_report(int status, std::string_view message, std::string_view param,
                         std::string_view code) {
  return {status, std::string(message), std::string(param),
          std::string(code.empty() ? default_code(status, message) : code)};
}

ErrorReport error_report(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error))
    return error_report(http_status(api->code()), api->what(), api->param(), api->api_code());
  if (const auto* known = dynamic_cast<const Error*>(&error)) {
    const int status = http_status(known->code());
    return error_report(status, known->what(),
                        status == 400 ? leading_field(known->what()) : std::string_view{});
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    return error_report(503, "server: out of memory");
  return error_report(500, error.what());
}

std::string error_body(const ErrorReport& error) {
  std::string out;
  base::JsonWriter json(out);
  json.begin_object().key("error").begin_object();
  json.member("message", error.message).member("type", error_type(error.status));
  json.key("param").text_or_null(error.param).key("code").text_or_null(error.code);
  json.end_object().end_object();
  return out;
}

}  // namespace openllm::server
