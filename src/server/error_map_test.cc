// What an error becomes in HTTP.

#include "server/error_map.h"

#include <gmock/gmock.h>

#include <new>
#include <stdexcept>
#include <string>

namespace openllm::server {
namespace {

using ::testing::HasSubstr;

TEST(ErrorMap, EveryCodeHasItsStatus) {
  for (const auto& [code, status] :
       {std::pair{ErrorCode::kInvalidArgument, 400}, std::pair{ErrorCode::kNotFound, 404},
        std::pair{ErrorCode::kUnsupported, 400}, std::pair{ErrorCode::kCorruptData, 500},
        std::pair{ErrorCode::kResourceExhausted, 400}, std::pair{ErrorCode::kBusy, 429},
        std::pair{ErrorCode::kCancelled, 503}, std::pair{ErrorCode::kDeadline, 504},
        std::pair{ErrorCode::kIo, 500}, std::pair{ErrorCode::kUnavailable, 503},
        std::pair{ErrorCode::kInternal, 500}}) {
    EXPECT_EQ(http_status(code), status) << to_string(code);
    EXPECT_EQ(error_report(Error(code, "m")).status, status) << to_string(code);
  }
}

TEST(ErrorMap, EveryStatusHasItsTypeAndSomeACode) {
  struct Case {
    int status;
    const char* type;
    const char* code;
  };
  for (const Case& c :
       {Case{400, "invalid_request_error", "null"},
        Case{401, "authentication_error", "\"invalid_api_key\""},
        Case{404, "invalid_request_error", "null"},
        Case{405, "invalid_request_error", "\"method_not_allowed\""},
        Case{429, "rate_limit_error", "\"rate_limit_exceeded\""}, Case{500, "server_error", "null"},
        Case{501, "invalid_request_error", "null"}, Case{503, "server_error", "\"unavailable\""},
        Case{504, "server_error", "\"deadline_exceeded\""},
        Case{505, "invalid_request_error", "null"}}) {
    EXPECT_EQ(error_body(error_report(c.status, "m")),
              std::string(R"({"error":{"message":"m","type":")") + c.type +
                  R"(","param":null,"code":)" + c.code + "}}")
        << c.status;
  }
  EXPECT_EQ(error_report(429, "m", "p", "mine").code, "mine");
}

TEST(ErrorMap, EveryReasonHasItsCode) {
  for (const auto& [reason, code] :
       {std::pair{ErrorReason::kNone, ""},
        std::pair{ErrorReason::kContextTooLong, "context_length_exceeded"},
        std::pair{ErrorReason::kModelNotFound, "model_not_found"},
        std::pair{ErrorReason::kModelNotLoaded, "model_load_failed"},
        std::pair{ErrorReason::kTemplateMissing, "chat_template_missing"},
        std::pair{ErrorReason::kMissingField, "missing_required_parameter"},
        std::pair{ErrorReason::kUnknownField, "unknown_parameter"},
        std::pair{ErrorReason::kUnsupportedField, "unsupported_parameter"}}) {
    EXPECT_EQ(error_report(Error(ErrorCode::kInvalidArgument, "m", "", reason)).code, code);
  }
}

TEST(ErrorMap, TheServersOwnFailuresAreAboutNoField) {
  const std::chrono::milliseconds wait(7);
  const ErrorReport busy =
      error_report(Error(ErrorCode::kBusy, "m", "n", ErrorReason::kNone, wait));
  EXPECT_EQ(busy.param, "n");
  EXPECT_EQ(busy.retry_after, wait);
  for (const ErrorCode code : {ErrorCode::kInternal, ErrorCode::kCorruptData,
                               ErrorCode::kUnavailable, ErrorCode::kDeadline})
    EXPECT_EQ(error_report(Error(code, "m", "file")).param, "") << to_string(code);
  EXPECT_EQ(error_report(std::bad_alloc()).status, 503);
  EXPECT_EQ(error_report(std::runtime_error("m")).status, 500);
  EXPECT_EQ(error_report(std::runtime_error("m")).message, "m");
}

TEST(ErrorMap, FieldsHaveTheNamesThatClientsKnow) {
  const auto param = [](const char* where) {
    const std::string body = openai_error_body(error_report(400, "m", where));
    const std::size_t begin = body.find("\"param\":\"") + 9;
    return body.substr(begin, body.find('"', begin) - begin);
  };
  EXPECT_EQ(param("max_new_tokens"), "max_tokens");
  EXPECT_EQ(param("top_k"), "top_k");
  EXPECT_EQ(param("max_tokens"), "max_tokens");
  EXPECT_EQ(param("messages[0].role"), "messages[0].role");
  EXPECT_EQ(param("logit_bias.7"), "logit_bias.7");
  EXPECT_EQ(param("chat_template_json.mood"), "chat_template_kwargs.mood");
  EXPECT_EQ(param("chat_template_json.documents"), "documents") << "has a name of its own";
  EXPECT_EQ(param("tools_json"), "tools");
}

}  // namespace
}  // namespace openllm::server
