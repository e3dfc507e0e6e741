#include "server/api/common_request.h"

#include "base/error.h"
#include "base/random_id.h"
#include "fields/body.h"

namespace openllm::server {
namespace {

/// `response_format` and `modalities`: text alone.
void require_text(const Fields& body, fields::Way way, fields::UnknownNames& ignored) {
  if (const base::Json* format = body.object("response_format")) {
    const Fields members(*format, "response_format");
    const std::string* type = members.string("type");
    if (type == nullptr) members.fail_missing("type");
    if (*type != "text")
      body.fail_unsupported("response_format", base::cat("only type text, got ", *type));
    fields::check_names(*format, way, "response_format", "response_format", ignored);
  }
  if (const base::JsonArray* modalities = body.array("modalities")) {
    for (const base::Json& entry : *modalities) {
      const std::string* name = entry.if_string();
      if (name == nullptr || *name != "text") body.fail_unsupported("modalities", "only text");
    }
  }
}

/// Labels change nothing, but one of another type is a mistake of somebody.
void check_labels(const Fields& body) {
  (void)body.string("user");
  const base::Json* metadata = body.object("metadata");
  if (metadata == nullptr) return;
  const Fields labels(*metadata, "metadata");
  for (const auto& [name, value] : *metadata->if_object()) (void)labels.string(name);
}

}  // namespace

std::string answer_id(std::string_view prefix, const CommonRequest& request) {
  const std::string& given = request.options.request_id;
  return given.empty() ? base::random_id(prefix) : base::cat(prefix, given);
}

CommonRequest parse_common(const base::Json& json, fields::Way way) {
  const Fields body(json);
  CommonRequest request;
  request.ignored = fields::read_body(json, way, request.options, &request.text_biases);
  if (const std::string* model = body.string("model")) request.model = *model;
  require_text(body, way, request.ignored);
  check_labels(body);
  request.stream = body.boolean("stream").value_or(false);
  if (const base::Json* stream_options = body.object("stream_options")) {
    if (!request.stream) body.fail_value("stream_options", "stream to be true", "stream false");
    request.include_usage =
        Fields(*stream_options, "stream_options").boolean("include_usage").value_or(false);
    fields::check_names(*stream_options, way, "stream_options", "stream_options", request.ignored);
  }
  request.return_token_ids = body.boolean("return_token_ids").value_or(false);
  request.return_tokens_as_token_ids = body.boolean("return_tokens_as_token_ids").value_or(false);
  return request;
}

}  // namespace openllm::server
