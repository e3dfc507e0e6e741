#include "llm/compare/witness.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"
#include "fields/access.h"

namespace openllm::llm {
namespace {

/// A request that takes the likeliest token, whatever the model's and the environment's defaults:
/// rules on tokens would hide what is compared.
GenerateOptions plain_request() {
  GenerateOptions options;
  for (const fields::Field& field : fields::all()) {
    // Tokens that end an answer are the model's.
    const bool is_rule =
        fields::has_request(field) && fields::has_config(field) && field.name != "eos_token_id";
    if (is_rule) fields::clear(field, options);
  }
  options.temperature = 0.0F;
  options.output_kind = OutputKind::kFinalOnly;
  return options;
}

std::vector<ComparedToken> tokens_of(const CompletionChunk& chunk) {
  std::vector<ComparedToken> tokens;
  for (std::size_t i = 0; i < chunk.token_ids.size(); ++i) {
    ComparedToken token{.token_id = chunk.token_ids[i]};
    const bool has_list = chunk.logprobs && i < chunk.logprobs->size();
    const TokenLogprobs list = has_list ? (*chunk.logprobs)[i] : TokenLogprobs{};
    if (list.size() > 1) {
      const auto most = std::max_element(
          list.begin() + 1, list.end(),
          [](const TokenLogprob& a, const TokenLogprob& b) { return a.logprob < b.logprob; });
      token.gap = static_cast<double>(list.front().logprob) - most->logprob;
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

ForcedTokens::ForcedTokens(std::vector<float> logits, std::size_t vocab_size)
    : logits_(std::move(logits)), vocab_size_(vocab_size) {}
ForcedTokens::ForcedTokens(std::vector<TokenLogprobs> lists) : lists_(std::move(lists)) {}

std::size_t ForcedTokens::size() const noexcept {
  const std::size_t n = has_logits() ? logits_.size() / vocab_size_ : lists_.size();
  return n == 0 ? 0 : n - 1;
}

Distribution ForcedTokens::at(std::size_t i) const {
  // Logits of a position are of the token after it, the lists of prompts of the token there.
  if (has_logits()) return Distribution(std::span(logits_).subspan(i * vocab_size_, vocab_size_));
  return Distribution(lists_[i + 1]);
}

Witness::Witness(const std::string& model, const CompareTarget& target,
                 const CompareOptions& options)
    : llm_(target.model.empty() ? model : target.model, target.load),
      max_new_tokens_(options.max_new_tokens),
      top_(options.top) {
  llm_.load();
  info_ = llm_.info();
  if (!info_.is_encoder_decoder) return;
  base::fail(ErrorCode::kUnsupported, "compare: ", info_.id,
             " is an encoder-decoder model; answers are compared as continuations of prompts");
}

GreedyAnswer Witness::answer(const Prompt& prompt) const {
  GenerateOptions options = plain_request();
  options.max_new_tokens = max_new_tokens_;
  options.logprobs = 2;
  GenerationOutput output = llm_.generate(prompt, options);
  CompletionChunk& chunk = output.outputs.at(0);
  const bool is_whole =
      chunk.finish_reason == FinishReason::kStop || chunk.finish_reason == FinishReason::kLength;
  if (!is_whole || !output.prompt_token_ids)
    base::fail(ErrorCode::kInternal, "compare: an answer was not finished");
  return {.prompt_ids = std::move(*output.prompt_token_ids),
          .ids = chunk.token_ids,
          .text = chunk.text,
          .tokens = tokens_of(chunk)};
}

ForcedTokens Witness::force(const std::vector<std::int32_t>& sequence, bool wants_logits) const {
  if (wants_logits) {
    try {
      std::vector<float> logits = llm_.logits(sequence);
      const std::size_t vocab_size = logits.size() / sequence.size();
      base::check(vocab_size > 0 && vocab_size * sequence.size() == logits.size(),
                  "compare: logits of another shape");
      return {std::move(logits), vocab_size};
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;  // else lists will do
    }
  }
  GenerateOptions options = plain_request();
  options.max_new_tokens = 0;
  options.prompt_logprobs = top_;
  GenerationOutput output = llm_.generate(sequence, options);
  if (!output.prompt_logprobs || output.prompt_logprobs->size() != sequence.size()) {
    base::fail(ErrorCode::kIo, "compare: logprobs of the prompt are missing (expected ",
               sequence.size(), " positions, got ",
               output.prompt_logprobs ? output.prompt_logprobs->size() : 0, ")");
  }
  return ForcedTokens(std::move(*output.prompt_logprobs));
}

std::string Witness::text_of(std::int32_t id) const {
  return id < 0 || !info_.has_tokenizer ? "" : llm_.token_text(id);
}

void Witness::check_tokens(const Prompt& prompt, const std::vector<std::int32_t>& ids) const {
  if (prompt.text() == nullptr || !info_.has_tokenizer) return;
  if (llm_.tokenize(*prompt.text()) == ids) return;
  base::fail(ErrorCode::kInvalidArgument,
             "compare: its tokenizer makes other tokens of the same text, so there is nothing to "
             "compare (expected one tokenizer)");
}

}  // namespace openllm::llm
