#include "server/error_map.h"

#include <new>

#include "base/error.h"
#include "base/json_writer.h"
#include "fields/field.h"

namespace openllm::server {
namespace {

std::string_view error_type(int status) noexcept {
  switch (status) {
    case 401:
      return "authentication_error";
    case 429:
      return "rate_limit_error";
    case 501:  // the request is what is wrong
    case 505:
      return "invalid_request_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

/// OpenAI's machine-readable code for a status that needs no further reason.
std::string_view default_code(int status) noexcept {
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

/// OpenAI's machine-readable code for a reason, or one of ours in its style.
std::string_view api_code(ErrorReason reason) noexcept {
  switch (reason) {
    case ErrorReason::kNone:
      return {};
    case ErrorReason::kContextTooLong:
      return "context_length_exceeded";
    case ErrorReason::kModelNotFound:
      return "model_not_found";
    case ErrorReason::kModelNotLoaded:
      return "model_load_failed";
    case ErrorReason::kTemplateMissing:
      return "chat_template_missing";
    case ErrorReason::kMissingField:
      return "missing_required_parameter";
    case ErrorReason::kUnknownField:
      return "unknown_parameter";
    case ErrorReason::kUnsupportedField:
      return "unsupported_parameter";
  }
  return {};
}

/// OpenAI's name for a field of GenerateOptions, or for a member of one.
std::string openai_name(std::string_view where) {
  const std::size_t dot = where.find('.');
  const std::string_view first = where.substr(0, dot);
  const fields::Field* field = fields::find(first);
  if (field == nullptr || first != field->name || field->openai.empty()) return std::string(where);
  if (dot == std::string_view::npos) return std::string(field->openai);
  // Variables of the template that have a name of their own in bodies.
  const std::string_view member = where.substr(dot + 1);
  const fields::BodyMember* own = fields::find_member(member);
  if (own != nullptr && (own->ways & fields::kChat) != 0) return std::string(member);
  return base::cat(field->openai, where.substr(dot));
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
  return {status,
          std::string(message),
          std::string(param),
          std::string(code.empty() ? default_code(status) : code),
          {}};
}

ErrorReport error_report(const std::exception& error) {
  if (const auto* known = dynamic_cast<const Error*>(&error)) {
    const int status = http_status(known->code());
    // The server's own failures are about no field of the request.
    const std::string_view param = status < 500 ? known->where() : std::string_view{};
    ErrorReport report = error_report(status, known->what(), param, api_code(known->reason()));
    report.retry_after = known->retry_after();
    return report;
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

std::string openai_error_body(const ErrorReport& error) {
  ErrorReport renamed = error;
  renamed.param = openai_name(error.param);
  // Messages about a field begin with its name.
  if (error.message.starts_with(error.param + ":"))
    renamed.message.replace(0, error.param.size(), renamed.param);
  return error_body(renamed);
}

}  // namespace openllm::server
