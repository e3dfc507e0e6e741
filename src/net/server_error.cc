#include "net/server_error.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/utf8.h"

namespace openllm::net {
namespace {

ErrorCode code_of(int status) {
  switch (status) {
    case 400:
    case 401:
    case 403:
    case 413:
    case 415:
    case 422:
      return ErrorCode::kInvalidArgument;
    case 404:
    case 405:
      return ErrorCode::kNotFound;
    case 408:
    case 504:
      return ErrorCode::kDeadline;
    case 429:
      return ErrorCode::kBusy;
    case 501:
      return ErrorCode::kUnsupported;
    case 502:
    case 503:
      return ErrorCode::kUnavailable;
    default:
      return status >= 500 || status == kWithinAnswer ? ErrorCode::kInternal : ErrorCode::kIo;
  }
}

const std::string* text_member(const base::Json& json, const char* name) {
  const base::Json* member = json.find(name);
  return member == nullptr ? nullptr : member->if_string();
}

/// The status that an error would have had before the answer, by OpenAI's name for its kind.
int status_of_type(const base::Json& error) {
  const std::string* type = text_member(error, "type");
  if (type == nullptr) return kWithinAnswer;
  if (*type == "invalid_request_error" || *type == "authentication_error") return 400;
  return *type == "rate_limit_error" ? 429 : kWithinAnswer;
}

/// Code and reason of an error.
struct Meaning {
  ErrorCode code = ErrorCode::kInternal;
  ErrorReason reason = ErrorReason::kNone;
};

/// The meaning of a server's code, which says more than the status. Errors inside of an answer have
/// no status of their own: there the code, or the number that some servers give, is all.
Meaning meaning_of(int status, const base::Json& error) {
  struct Name {
    std::string_view name{};
    Meaning meaning{};
  };
  using enum ErrorCode;
  constexpr std::array<Name, 11> kNames{
      {{"chat_template_missing", {kUnsupported, ErrorReason::kTemplateMissing}},
       {"unsupported_parameter", {kUnsupported, ErrorReason::kUnsupportedField}},
       {"unknown_parameter", {kInvalidArgument, ErrorReason::kUnknownField}},
       {"missing_required_parameter", {kInvalidArgument, ErrorReason::kMissingField}},
       {"context_length_exceeded", {kInvalidArgument, ErrorReason::kContextTooLong}},
       {"model_not_found", {kNotFound, ErrorReason::kModelNotFound}},
       {"model_load_failed", {kUnavailable, ErrorReason::kModelNotLoaded}},
       {"unavailable", {kUnavailable}},
       {"rate_limit_exceeded", {kBusy}},
       {"insufficient_quota", {kResourceExhausted}},
       {"deadline_exceeded", {kDeadline}}}};
  const base::Json* code = error.find("code");
  const std::string* text = code == nullptr ? nullptr : code->if_string();
  for (const auto& [name, meaning] : kNames) {
    if (text != nullptr && *text == name) return meaning;
  }
  if (status != kWithinAnswer) return {code_of(status)};
  const bool is_status =
      code != nullptr && code->is_int() && *code->if_int() >= 400 && *code->if_int() <= 599;
  return {code_of(is_status ? static_cast<int>(*code->if_int()) : status_of_type(error))};
}

/// The message of an error body, in OpenAI's shape or in a simpler one of other servers.
const std::string* error_message(const base::Json& json) {
  const base::Json* error = json.find("error");
  if (error != nullptr)
    return error->is_object() ? text_member(*error, "message") : error->if_string();
  for (const char* name : {"message", "detail"}) {
    if (const std::string* text = text_member(json, name)) return text;
  }
  return nullptr;
}

std::string beginning(std::string_view text) {
  constexpr std::size_t kMax = 200;
  return printable(text.substr(0, kMax)) + (text.size() > kMax ? "..." : "");
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown = base::sanitize_utf8(text);
  const auto is_control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; };
  std::replace_if(shown.begin(), shown.end(), is_control, ' ');
  return shown;
}

base::Json parse_answer(std::string_view text) {
  base::Json json;
  try {
    json = base::Json::parse(text, kAnswer);
  } catch (const Error&) {
    base::fail(ErrorCode::kIo, kAnswer, ": not JSON (got ",
               text.empty() ? "nothing" : beginning(text), ")");
  }
  if (const base::Json* error = json.find("error"); error != nullptr && !error->is_null())
    throw make_error(kWithinAnswer, text);
  return json;
}

Error make_error(int status, std::string_view body) {
  try {
    const base::Json json = base::Json::parse(body, "error body");
    const base::Json* error = json.find("error");
    const base::Json& details = error == nullptr ? json : *error;
    if (const std::string* message = error_message(json)) {
      const Meaning meaning = meaning_of(status, details);
      const std::string* param = text_member(details, "param");
      return {meaning.code, printable(*message), param == nullptr ? "" : printable(*param),
              meaning.reason};
    }
  } catch (const Error&) {
    // not JSON: shown as it is below
  }
  return {
      code_of(status),
      base::cat("server: ", status == kWithinAnswer ? "error" : base::cat("HTTP status ", status),
                body.empty() ? "" : ": ", beginning(body))};
}

}  // namespace openllm::net
