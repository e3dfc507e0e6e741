#include "server/api/usage.h"

namespace openllm::server {

void write_usage(base::JsonWriter& json, const Usage& usage) {
  json.begin_object();
  json.member("prompt_tokens", usage.n_prompt);
  json.member("completion_tokens", usage.n_completion);
  json.member("total_tokens", usage.n_prompt + usage.n_completion);
  json.key("prompt_tokens_details").begin_object();
  json.member("cached_tokens", usage.n_cached).end_object();
  json.end_object();
}

}  // namespace openllm::server
