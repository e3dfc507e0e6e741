#pragma once

// For the tests of this folder; no part of the library.

#include <functional>
#include <string>

#include "server/api/chat_request.h"
#include "server/api/completion_request.h"
#include "server/error_map.h"

namespace openllm::server {

/// The error that parsing gives, as "param|code|message".
inline std::string failure(const std::function<void()>& parse) {
  try {
    parse();
  } catch (const Error& error) {
    const base::Json body = base::Json::parse(openai_error_body(error_report(error)), "body");
    const base::Json& details = *body.find("error");
    const auto text = [&](const char* name) {
      const std::string* value = details.find(name)->if_string();
      return value == nullptr ? std::string() : *value;
    };
    return text("param") + "|" + text("code") + "|" + text("message");
  }
  return "no error";
}

inline std::string completion_failure(const std::string& body) {
  return failure([&] {
    CompletionRequest request = parse_completion_request(body);
    check_logprobs(request);
  });
}

inline std::string chat_failure(const std::string& fields) {
  return failure([&] {
    parse_chat_request(R"({"messages":[{"role":"user","content":"Hi"}],)" + fields + "}");
  });
}

}  // namespace openllm::server
