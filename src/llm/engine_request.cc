#include "llm/engine_request.h"

#include <algorithm>
#include <random>
#include <vector>

#include "base/error.h"
#include "fields/access.h"

namespace openllm::llm {
namespace {

/// The request's own stop tokens, and, unless they are to be ignored, the end-of-sequence tokens.
std::vector<std::int32_t> stop_token_ids(const GenerateOptions& options, const LLMConfig& config,
                                         const tokenizer::Tokenizer* tokenizer) {
  std::vector<std::int32_t> ids = options.stop_token_ids;
  if (!options.ignore_eos) {
    ids.insert(ids.end(), config.eos_token_ids.begin(), config.eos_token_ids.end());
    if (tokenizer != nullptr) {
      ids.insert(ids.end(), tokenizer->eos_ids().begin(), tokenizer->eos_ids().end());
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

void check_options(const GenerateOptions& options) {
  static_assert(engine::kMaxChoices == 128, "the table of fields has the same bound of n");
  fields::check(options);
}

engine::Request make_engine_request(const GenerateOptions& options, const LLMConfig& config,
                                    bool is_chat, int max_model_len,
                                    const tokenizer::Tokenizer* tokenizer) {
  if (!options.adapter_name.empty()) {
    base::fail_at(ErrorCode::kNotFound, "adapter_name", "no adapter of that name is mounted (got ",
                  options.adapter_name, ")");
  }
  LLMConfig merged = config;
  if (is_chat) merged.max_new_tokens = max_model_len;
  fields::merge(merged, options);
  if (merged.max_new_tokens == -1) merged.max_new_tokens = max_model_len;
  engine::Request request;
  request.max_new_tokens = merged.max_new_tokens.value();
  request.min_new_tokens = merged.min_new_tokens.value();
  request.n_choices = options.n;
  request.stop_token_ids = stop_token_ids(options, config, tokenizer);
  request.n_logprobs = options.logprobs.value_or(0);
  request.n_prompt_logprobs = options.prompt_logprobs.value_or(-1);
  request.priority = options.priority;
  request.tenant = options.tenant;
  request.group = options.group;
  request.cache_salt = options.cache_salt;
  request.max_wait = options.max_wait;
  sampling::SamplingParams& sampling = request.sampling;
  sampling.temperature = merged.temperature.value();
  sampling.top_k = merged.top_k.value();
  sampling.top_p = merged.top_p.value();
  sampling.min_p = merged.min_p.value();
  sampling.repetition_penalty = merged.repetition_penalty.value();
  sampling.presence_penalty = merged.presence_penalty.value();
  sampling.frequency_penalty = merged.frequency_penalty.value();
  sampling.logit_bias.assign(options.logit_bias.begin(), options.logit_bias.end());
  sampling.seed = options.seed ? *options.seed : random_seed();
  return request;
}

void require_capabilities(const GenerateOptions& options, const backend::Capabilities& capabilities,
                          std::string_view name) {
  const auto require = [&](bool wanted, bool can, const char* field) {
    if (wanted && !can)
      base::fail_with(ErrorCode::kUnsupported, {field, ErrorReason::kUnsupportedField}, field,
                      ": the backend ", name, " cannot do that");
  };
  require(options.logprobs.has_value(), capabilities.logprobs, "logprobs");
  require(options.prompt_logprobs.has_value(), capabilities.prompt_logprobs, "prompt_logprobs");
  require(options.seed.has_value(), capabilities.seed, "seed");
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace openllm::llm
