#include "llm/engine_request.h"

#include <algorithm>
#include <random>
#include <vector>

#include "base/error.h"

namespace openllm::llm {
namespace {

/// The request's own, and unless they are to be ignored those that end a sequence.
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
  const auto require = [](bool holds, const char* field, const char* expected, std::int64_t got) {
    if (!holds) {
      base::fail_at(ErrorCode::kInvalidArgument, field, "out of range (expected ", expected,
                    ", got ", got, ")");
    }
  };
  static_assert(engine::kMaxChoices == 128);
  require(options.n >= 1 && options.n <= engine::kMaxChoices, "n", "1 to 128", options.n);
  require(!options.logprobs || *options.logprobs >= 0, "logprobs", ">= 0",
          options.logprobs.value_or(0));
  require(!options.prompt_logprobs || *options.prompt_logprobs >= 0, "prompt_logprobs", ">= 0",
          options.prompt_logprobs.value_or(0));
  require(!options.timeout || options.timeout->count() > 0, "timeout", "> 0 ms",
          options.timeout ? options.timeout->count() : 0);
  for (const std::string& stop : options.stop) {
    if (stop.empty())
      base::fail_at(ErrorCode::kInvalidArgument, "stop", "an empty text cannot end an answer");
  }
}

engine::Request make_engine_request(const GenerateOptions& options, const LLMConfig& config,
                                    bool is_chat, int max_model_len,
                                    const tokenizer::Tokenizer* tokenizer) {
  if (!options.adapter_name.empty()) {
    base::fail_at(ErrorCode::kNotFound, "adapter_name", "no adapter of that name is mounted (got ",
                  options.adapter_name, ")");
  }
  engine::Request request;
  request.max_new_tokens =
      options.max_new_tokens.value_or(is_chat ? max_model_len : config.max_new_tokens);
  request.min_new_tokens = options.min_new_tokens.value_or(config.min_new_tokens);
  request.n_choices = options.n;
  request.stop_token_ids = stop_token_ids(options, config, tokenizer);
  request.n_logprobs = options.logprobs.value_or(0);
  request.n_prompt_logprobs = options.prompt_logprobs.value_or(-1);
  request.priority = options.priority;
  sampling::SamplingParams& sampling = request.sampling;
  sampling.temperature = options.temperature.value_or(config.temperature);
  sampling.top_k = options.top_k.value_or(config.top_k);
  sampling.top_p = options.top_p.value_or(config.top_p);
  sampling.min_p = options.min_p.value_or(config.min_p);
  sampling.repetition_penalty = options.repetition_penalty.value_or(config.repetition_penalty);
  sampling.presence_penalty = options.presence_penalty.value_or(config.presence_penalty);
  sampling.frequency_penalty = options.frequency_penalty.value_or(config.frequency_penalty);
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
