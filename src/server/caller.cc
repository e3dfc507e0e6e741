#include "server/caller.h"

#include <algorithm>

#include "base/error.h"
#include "fields/access.h"
#include "fields/field.h"

namespace openllm::server {

void set_caller(const Call& call, GenerateOptions& options) {
  options.tenant = call.app.tenant_of(call.exchange.request());
  if (options.priority >= 0 || call.app.options().allow_priority) return;
  base::fail_at(ErrorCode::kInvalidArgument, "priority",
                "out of range (expected at least 0, for this server lets no client run before "
                "others, got ",
                options.priority, ")");
}

void set_default_length(const Call& call, std::optional<int> otherwise, GenerateOptions& options) {
  if (fields::has_length(options)) return;
  const std::optional<int>& given = call.app.options().max_new_tokens;
  options.max_new_tokens = given ? given : otherwise;
}

std::optional<std::chrono::milliseconds> bounded_time(
    std::optional<std::chrono::milliseconds> asked, int most_s) noexcept {
  if (most_s <= 0) return asked;
  const std::chrono::milliseconds most = std::chrono::seconds(most_s);
  return std::min(asked.value_or(most), most);
}

void set_form(const LLM& llm, GenerateOptions& options) {
  LLMConfig config = llm.config();
  fields::merge(config, options);
  options.n = config.n;
  // A default gives way to the request's n.
  if (!options.best_of && config.best_of) options.best_of = std::max(*config.best_of, *config.n);
  options.logprobs = config.logprobs;
  options.skip_special_tokens = config.skip_special_tokens;
  options.spaces_between_special_tokens = config.spaces_between_special_tokens;
  options.clean_up_tokenization_spaces = config.clean_up_tokenization_spaces;
  options.timeout = config.timeout;
}

}  // namespace openllm::server
