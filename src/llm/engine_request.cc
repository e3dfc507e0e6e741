#include "llm/engine_request.h"

#include <algorithm>
#include <random>
#include <vector>

#include "base/error.h"
#include "fields/access.h"
#include "llm/token_rules.h"

namespace openllm::llm {
namespace {

using TokenIds = std::vector<std::int32_t>;

void sort_unique(TokenIds& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

/// The end-of-sequence tokens, unless they are to be ignored.
TokenIds eos_token_ids(const SamplingParams& params, const tokenizer::Tokenizer* tokenizer) {
  if (params.ignore_eos) return {};
  TokenIds ids = params.eos_token_ids;
  if (tokenizer != nullptr)
    ids.insert(ids.end(), tokenizer->eos_ids().begin(), tokenizer->eos_ids().end());
  sort_unique(ids);
  return ids;
}

/// The request's own stop tokens, and those that end a sequence.
TokenIds stop_token_ids(const SamplingParams& params, const TokenIds& eos_ids) {
  TokenIds ids = params.stop_token_ids;
  ids.insert(ids.end(), eos_ids.begin(), eos_ids.end());
  sort_unique(ids);
  return ids;
}

void set_sampling(const SamplingParams& params, sampling::SamplingParams& sampling) {
  sampling.temperature = params.temperature;
  sampling.top_k = params.top_k;
  sampling.top_p = params.top_p;
  sampling.min_p = params.min_p;
  sampling.typical_p = params.typical_p;
  sampling.epsilon_cutoff = params.epsilon_cutoff;
  sampling.eta_cutoff = params.eta_cutoff;
  sampling.repetition_penalty = params.repetition_penalty;
  sampling.presence_penalty = params.presence_penalty;
  sampling.frequency_penalty = params.frequency_penalty;
  sampling.logit_bias.assign(params.logit_bias.begin(), params.logit_bias.end());
  sampling.seed = params.seed.value_or(kRandomSeed);
  if (sampling.seed == kRandomSeed) sampling.seed = random_seed();
}

engine::BeamOptions::Stopping stopping_of(EarlyStopping stopping) noexcept {
  using Stopping = engine::BeamOptions::Stopping;
  if (stopping == EarlyStopping::kNever) return Stopping::kWhenSure;
  return stopping == EarlyStopping::kTrue ? Stopping::kWhenFull : Stopping::kWhenUnlikely;
}

/// A field of the request that draws, which a search does not; null if there is none.
const char* drawing_field(const GenerateOptions& o) noexcept {
  if (o.temperature && *o.temperature != 0.0F && *o.temperature != 1.0F) return "temperature";
  if (o.top_p && *o.top_p < 1.0F) return "top_p";
  if (o.top_k && *o.top_k > 0) return "top_k";
  if (o.min_p && *o.min_p > 0.0F) return "min_p";
  if (o.typical_p && *o.typical_p < 1.0F) return "typical_p";
  if (o.epsilon_cutoff && *o.epsilon_cutoff > 0.0F) return "epsilon_cutoff";
  if (o.eta_cutoff && *o.eta_cutoff > 0.0F) return "eta_cutoff";
  return nullptr;
}

[[noreturn]] void fail_beside_beams(std::string_view field, std::string_view why) {
  base::fail_with(ErrorCode::kUnsupported, {field, ErrorReason::kUnsupportedField}, field,
                  ": not beside num_beams: ", why);
}

/// What cannot be combined with a search, when the request itself asks for both. Defaults of
/// configurations give way.
void check_beams(const LLMConfig& merged, const GenerateOptions& options) {
  const int n_beams = merged.num_beams.value_or(1);
  const int n_groups = merged.num_beam_groups.value_or(1);
  if (n_groups > n_beams || n_beams % n_groups != 0) {
    base::fail_at(ErrorCode::kInvalidArgument, "num_beam_groups",
                  "does not divide num_beams (expected a divisor of ", n_beams, ", got ", n_groups,
                  ")");
  }
  if (n_beams == 1) return;
  if (merged.n.value_or(1) > n_beams) {
    base::fail_at(ErrorCode::kInvalidArgument, options.n ? "n" : "num_beams",
                  "more answers than beams (expected at most ", n_beams, ", got ", *merged.n, ")");
  }
  if (options.best_of && *options.best_of > merged.n.value_or(1))
    fail_beside_beams("best_of", "a search gives the best ones anyway");
  if (const char* field = drawing_field(options))
    fail_beside_beams(field, "a search draws nothing");
  if (options.num_beams && options.output_kind != OutputKind::kFinalOnly)
    fail_beside_beams("stream", "a search knows its first token when it is over");
}

/// Each choice gets a constraint of its own; they share the rules.
void add_rules(sampling::TokenRules rules, engine::Request& request) {
  if (!sampling::has_rules(rules)) return;
  const auto shared = std::make_shared<const sampling::TokenRules>(std::move(rules));
  request.constraints.emplace_back([shared](const sampling::ConstraintContext& context) {
    return std::make_unique<sampling::RuledTokens>(shared, context);
  });
}

void require_one_length(bool has_both, const char* total, const char* of_answer) {
  if (has_both) {
    base::fail_at(ErrorCode::kInvalidArgument, total, "given beside ", of_answer,
                  " (expected one of the two)");
  }
}

}  // namespace

void check_options(const GenerateOptions& options) {
  static_assert(engine::kMaxChoices == 128, "the table of fields has the same bound of n");
  fields::check(options);
  if (options.max_wait && options.max_wait->count() < 0) {
    base::fail_at(ErrorCode::kInvalidArgument, "max_wait",
                  "invalid value (expected at least 0 ms, got ", options.max_wait->count(), ")");
  }
  require_one_length(options.max_length && options.max_new_tokens, "max_length", "max_new_tokens");
  require_one_length(options.min_length && options.min_new_tokens, "min_length", "min_new_tokens");
  if (options.receipt_hash_only && !options.receipt) {
    base::fail_at(ErrorCode::kInvalidArgument, "receipt_hash_only",
                  "there is no receipt (expected receipt = true beside it)");
  }
}

LLMConfig merge_request(const LLMConfig& config, const GenerateOptions& options) {
  LLMConfig merged = config;
  fields::merge(merged, options);
  merged.cleared.clear();
  const int n = merged.n.value_or(1);
  if (options.best_of && *options.best_of < n) {
    base::fail_at(ErrorCode::kInvalidArgument, "best_of", "fewer than n (expected at least ", n,
                  ", got ", *options.best_of, ")");
  }
  check_beams(merged, options);
  if (merged.num_beams.value_or(1) > 1) merged.best_of.reset();
  // A default gives way to the request's n.
  if (merged.best_of) merged.best_of = std::max(*merged.best_of, n);
  if (n_choices(merged) > n && options.output_kind != OutputKind::kFinalOnly) {
    base::fail_at(ErrorCode::kInvalidArgument, "best_of",
                  "a stream cannot know the best answers (expected n, ", n, ", got ",
                  *merged.best_of, ")");
  }
  return merged;
}

LLMConfig resolve(const GenerateOptions& options, const LLMConfig& config, bool is_chat,
                  const ModelLimits& limits) {
  LLMConfig merged = config;
  if (is_chat) {
    merged.max_new_tokens = limits.max_model_len;
    merged.max_length.reset();
  }
  merged = merge_request(merged, options);
  if (merged.max_new_tokens == -1) merged.max_new_tokens = limits.max_model_len;
  return merged;
}

engine::Request make_engine_request(const GenerateOptions& options, const LLMConfig& config,
                                    bool is_chat, const ModelLimits& limits,
                                    const tokenizer::Tokenizer* tokenizer) {
  const LLMConfig merged = resolve(options, config, is_chat, limits);
  const SamplingParams params = merged.to_sampling_config();
  const TotalLengths lengths = total_lengths(options, config, is_chat);
  const TokenIds eos_ids = eos_token_ids(params, tokenizer);
  engine::Request request;
  request.max_new_tokens = lengths.max > 0 ? lengths.max : params.max_tokens;
  request.min_new_tokens = params.min_tokens;
  request.n_choices = n_choices(merged);
  request.stop_token_ids = stop_token_ids(params, eos_ids);
  request.n_logprobs = params.logprobs.value_or(0);
  request.n_prompt_logprobs = params.prompt_logprobs.value_or(-1);
  request.priority = options.priority;
  request.tenant = options.tenant;
  request.group = options.group;
  request.cache_salt = options.cache_salt;
  request.max_wait = options.max_wait;
  request.bad_words = merged.bad_words;
  request.allowed_token_ids = merged.allowed_token_ids;
  request.beams = {params.num_beams, params.num_beam_groups, params.diversity_penalty,
                   params.length_penalty, stopping_of(params.early_stopping)};
  set_sampling(params, request.sampling);
  add_rules(make_token_rules(options, merged, eos_ids, limits.vocab_size, tokenizer), request);
  return request;
}

TotalLengths total_lengths(const GenerateOptions& options, const LLMConfig& config, bool is_chat) {
  LLMConfig merged = {.max_length = is_chat ? std::nullopt : config.max_length,
                      .min_length = config.min_length};
  fields::merge(merged, options);
  return {merged.max_length.value_or(0), merged.min_length.value_or(0)};
}

void count_prompt(engine::Request& request, const TotalLengths& lengths) {
  const auto n_prompt = static_cast<int>(request.prompt_ids.size());
  if (lengths.max > 0) {
    if (n_prompt >= lengths.max) {
      base::fail_at(ErrorCode::kInvalidArgument, "max_length",
                    "the prompt leaves no room for an answer (expected more than ", n_prompt,
                    ", got ", lengths.max, ")");
    }
    request.max_new_tokens = lengths.max - n_prompt;
  }
  if (lengths.min > 0) request.min_new_tokens = std::max(0, lengths.min - n_prompt);
}

int n_choices(const LLMConfig& merged) noexcept {
  return merged.best_of.value_or(merged.n.value_or(1));
}

std::vector<std::string> fields_of(GenerateOptions options, LLMConfig config) {
  options.cleared.clear();  // asks for nothing
  // Random anyway.
  if (options.seed == kRandomSeed) options.seed.reset();
  if (config.seed == kRandomSeed) config.seed.reset();
  const GenerateOptions nothing;
  const LLMConfig initial = fields::initial_config();
  std::vector<std::string> names;
  for (const fields::Field& field : fields::all()) {
    if (fields::get(field, options) != fields::get(field, nothing) ||
        fields::get(field, config) != fields::get(field, initial))
      names.emplace_back(field.name);
  }
  return names;
}

void require_capabilities(const std::vector<std::string>& fields,
                          const backend::Capabilities& capabilities, std::string_view name) {
  for (const std::string& field : fields) {
    if (capabilities.honours(field)) continue;
    base::fail_with(ErrorCode::kUnsupported, {field, ErrorReason::kUnsupportedField}, field,
                    ": the backend ", name, " cannot do that");
  }
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace openllm::llm
