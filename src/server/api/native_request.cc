#include "server/api/native_request.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"
#include "fields/body.h"
#include "fields/values.h"
#include "server/api/chat_request.h"
#include "server/api/common_request.h"
#include "server/api/fields.h"

namespace openllm::server {
namespace {

/// Members of the body besides the fields that stand there.
constexpr std::array<std::string_view, 5> kMembers{"model", "prompt", "prompt_token_ids",
                                                   "messages", "llm_config"};

bool is_member(std::string_view name) {
  return std::find(kMembers.begin(), kMembers.end(), name) != kMembers.end();
}

/// Whether the field, by its own name, stands in the body itself; all others are in `llm_config`.
bool is_outside(std::string_view name) {
  const fields::Field* field = fields::find(name);
  return field != nullptr && field->is_beside_config && field->name == name;
}

[[noreturn]] void refuse_unknown(std::string_view where, std::string_view advice) {
  base::fail_with(ErrorCode::kInvalidArgument, {where, ErrorReason::kUnknownField}, where,
                  ": there is no such field", advice);
}

/// Names are quoted in messages; long ones would drown them.
std::string shown(std::string_view name) {
  constexpr std::size_t kMax = 60;
  return std::string(name.substr(0, kMax));
}

/// "; did you mean X?" for a member of the body.
std::string did_you_mean(std::string_view name) {
  std::vector<std::string> known(kMembers.begin(), kMembers.end());
  for (const fields::Field& field : fields::all()) {
    if (field.is_beside_config) known.emplace_back(field.name);
  }
  const std::optional<std::string> meant = base::nearest(name, known);
  return meant ? base::cat("; did you mean ", *meant, "?") : fields::did_you_mean(name);
}

/// Refuses unknown members; returns those that the table of fields reads.
base::Json read_members(const base::Json& body) {
  base::Json in_table = base::Json::object();
  for (const auto& [name, value] : *body.if_object()) {
    if (is_member(name)) continue;
    if (!is_outside(name)) {
      const bool is_field = fields::find(name) != nullptr || fields::find_absent(name) != nullptr;
      refuse_unknown(shown(name),
                     is_field ? "; it belongs into llm_config" : did_you_mean(shown(name)));
    }
    in_table[name] = value;
  }
  return in_table;
}

void read_config(const base::Json& config, NativeRequest& request) {
  for (const fields::Field& field : fields::all()) {
    if (!field.is_beside_config) continue;
    const base::Json* value = config.find(field.name);
    if (value != nullptr && !value->is_null())
      refuse_unknown(base::cat("llm_config.", field.name), "; it belongs beside llm_config");
  }
  fields::read_object(config, fields::kNative, "llm_config", request.options, &request.text_biases);
}

/// Bounds of this server, which the library does not have: work and answers grow with these.
void check_bounds(const GenerateOptions& options) {
  constexpr std::size_t kMaxStops = 16;
  const auto require = [](bool holds, std::string_view where, int most) {
    if (!holds)
      base::fail_at(ErrorCode::kInvalidArgument, where, "too many (expected at most ", most, ")");
  };
  require(options.stop.size() <= kMaxStops, "stop", kMaxStops);
  require(options.logprobs.value_or(0) <= kMaxLogprobs, "llm_config.logprobs", kMaxLogprobs);
  require(options.prompt_logprobs.value_or(0) <= kMaxLogprobs, "llm_config.prompt_logprobs",
          kMaxLogprobs);
}

Prompt parse_prompt(const Fields& body) {
  const std::string* text = body.string("prompt");
  const base::JsonArray* ids = body.array("prompt_token_ids");
  const base::JsonArray* messages = body.array("messages");
  const int n_given =
      (text != nullptr ? 1 : 0) + (ids != nullptr ? 1 : 0) + (messages != nullptr ? 1 : 0);
  if (n_given == 0) body.fail_missing("prompt");
  if (n_given > 1)
    body.fail_value("prompt", "one of prompt, prompt_token_ids and messages", "several");
  if (messages != nullptr) {
    fields::UnknownNames unknown;
    std::vector<Message> parsed = parse_messages(body, unknown);
    if (!unknown.empty()) refuse_unknown(unknown.front(), "");
    return parsed;
  }
  if (text != nullptr) return *text;
  if (ids->empty()) body.fail_value("prompt_token_ids", "at least one token", "an empty array");
  return fields::read_token_ids(*body.find("prompt_token_ids"), "prompt_token_ids");
}

}  // namespace

NativeRequest parse_native_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  const base::Json in_table = read_members(json);
  NativeRequest request;
  if (const std::string* model = body.string("model")) request.model = *model;
  request.prompt = parse_prompt(body);
  if (const base::Json* config = body.object("llm_config")) read_config(*config, request);
  fields::read_body(in_table, fields::kNative, request.options);
  check_bounds(request.options);
  return request;
}

}  // namespace openllm::server
