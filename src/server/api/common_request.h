#pragma once

#include <string>
#include <string_view>

#include "fields/body.h"
#include "openllm/options.h"
#include "server/api/fields.h"

namespace openllm::server {

/// The part of a request that completions and chats share.
struct CommonRequest {
  std::string model{};  ///< Empty: the one that is served.
  GenerateOptions options{};
  bool stream = false;
  bool include_usage = false;
  bool return_token_ids = false;            ///< As in vLLM: ids beside the text.
  bool return_tokens_as_token_ids = false;  ///< As in vLLM: logprobs name tokens "token_id:N".
  fields::UnknownNames ignored{};           ///< Members that nobody knows.
  fields::TextNumbers text_biases{};        ///< Of logit_bias: those for texts.
};

/// An answer's id: the request_id that was given, else a random one.
std::string answer_id(std::string_view prefix, const CommonRequest& request);

/// Reads the fields of the table, `model`, `stream` and the rest that completions and chat share;
/// all but the prompt and what the two read differently. `json` must be an object. Names that no
/// table has are collected; features that we know and lack are kUnsupported.
CommonRequest parse_common(const base::Json& json, fields::Way way);

constexpr int kMaxLogprobs = 20;

}  // namespace openllm::server
