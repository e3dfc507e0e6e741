#include "llm/token_rules.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace openllm::llm {
namespace {

using sampling::TokenIds;

/// A text as tokens at the beginning of an answer, and in the middle if that is another word of as
/// many tokens: vLLM's rule (SamplingParams.update_from_tokenizer).
void add_bad_word(std::string_view word, const tokenizer::Tokenizer& tokenizer,
                  std::vector<TokenIds>& runs) {
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  word.remove_prefix(std::min(word.find_first_not_of(kSpaces), word.size()));
  const auto encode = [&](const std::string& text) {
    return tokenizer.encode(text, {.add_special_tokens = false});
  };
  TokenIds plain = encode(std::string(word));
  if (plain.empty())
    base::fail_at(ErrorCode::kInvalidArgument, "bad_words", "a text without tokens (got spaces)");
  TokenIds spaced = encode(base::cat(" ", word));
  const bool differs = spaced.size() == plain.size() && spaced.front() != plain.front();
  runs.push_back(std::move(plain));
  if (differs) runs.push_back(std::move(spaced));
}

/// Models' files have -1 for none.
TokenIds without_none(const TokenIds& ids) {
  TokenIds some = ids;
  some.erase(std::remove(some.begin(), some.end(), -1), some.end());
  return some;
}

}  // namespace

sampling::TokenRules make_token_rules(const GenerateOptions& options, const LLMConfig& config,
                                      std::span<const std::int32_t> eos_ids, int vocab_size,
                                      const tokenizer::Tokenizer* tokenizer) {
  sampling::TokenRules rules;
  rules.no_repeat_ngram_size = config.no_repeat_ngram_size.value_or(0);
  rules.bad_words_ids = config.bad_words_ids;
  rules.sequence_bias.assign(config.sequence_bias.begin(), config.sequence_bias.end());
  rules.suppressed = config.suppress_tokens;
  rules.suppressed_at_begin = config.begin_suppress_tokens;
  rules.forced_bos = config.forced_bos_token_id;
  rules.forced_eos = without_none(config.forced_eos_token_id);
  rules.allowed = config.allowed_token_ids;
  std::sort(rules.allowed.begin(), rules.allowed.end());
  if (!config.bad_words.empty() && tokenizer == nullptr) {
    base::fail_with(ErrorCode::kUnsupported, {"bad_words", ErrorReason::kUnsupportedField},
                    "bad_words: the model has no tokenizer");
  }
  for (const std::string& word : config.bad_words) add_bad_word(word, *tokenizer, rules.bad_words);
  // Without an end there is nothing that could get likelier; a model's default waits for one.
  if (options.exponential_decay_length_penalty && eos_ids.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "exponential_decay_length_penalty",
                  "no token ends the answer (the model has none, or ignore_eos is set)");
  }
  if (const auto& decay = config.exponential_decay_length_penalty; decay && !eos_ids.empty())
    rules.length_decay = {decay->start, decay->factor};
  const bool has_any = sampling::has_rules(rules);
  if (has_any) rules.eos.assign(eos_ids.begin(), eos_ids.end());
  if (has_any) sampling::validate(rules, vocab_size);
  return rules;
}

}  // namespace openllm::llm
