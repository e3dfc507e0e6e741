#pragma once

#include <string>
#include <string_view>

#include "fields/values.h"
#include "openllm/chat.h"
#include "openllm/options.h"

namespace openllm::server {

/// A parsed body of /v1/generate and /v1/generate_stream.
struct NativeRequest {
  std::string model{};  ///< Empty: the first one of the server.
  Prompt prompt{std::string()};
  GenerateOptions options{};
  fields::TextNumbers text_biases{};  ///< Of logit_bias: those for texts.
};

/// Unlike OpenAI's routes, these refuse every name that they do not know.
/// Throws kInvalidArgument or kUnsupported, with the field. Needs no model.
NativeRequest parse_native_request(std::string_view body);

}  // namespace openllm::server
