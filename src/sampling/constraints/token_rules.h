#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sampling/constraint.h"

namespace openllm::sampling {

using TokenIds = std::vector<std::int32_t>;

/// What the tokens so far say about the next one: fields of transformers' generation
/// (logits_process.py of 5.24) and of vLLM's sampling. Plain data; checked by `validate`.
struct TokenRules {
  /// Added to the last token of each list where prompt and answer end with the others.
  std::vector<std::pair<TokenIds, float>> sequence_bias{};
  int no_repeat_ngram_size = 0;              ///< No such run of tokens occurs twice; 0: off.
  std::vector<TokenIds> bad_words_ids{};     ///< Runs that do not come, begun in the prompt or not.
  std::vector<TokenIds> bad_words{};         ///< Runs that do not come within the answer.
  std::optional<std::int32_t> forced_bos{};  ///< Follows a prompt of one token.
  TokenIds forced_eos{};                     ///< One of them is the last token the length allows.
  /// From this answer length on, end tokens gain |score| * (factor^tokens_beyond - 1).
  struct LengthDecay {
    int start = 0;
    float factor = 1.0F;
  };
  std::optional<LengthDecay> length_decay{};
  TokenIds suppressed{};
  TokenIds suppressed_at_begin{};
  TokenIds allowed{};  ///< Nothing else may come; empty: all.
  /// The model's end-of-sequence tokens: for length_decay; and one that alone is a bad word by its
  /// id is none.
  TokenIds eos{};
};

/// Whether any rule is set.
bool has_rules(const TokenRules& rules) noexcept;
/// Throws kInvalidArgument naming the field: ids outside the vocabulary, empty runs, numbers out of
/// range, and rules that together never leave a token.
void validate(const TokenRules& rules, int vocab_size);

/// The sequence that the next token continues.
struct TokenHistory {
  std::span<const std::int32_t> tokens{};  ///< Prompt and answer.
  std::size_t n_prompt = 0;
  std::size_t max_length = 0;  ///< Of prompt and answer together.
};

/// sequence_bias, on raw logits.
void add_sequence_bias(const TokenRules& rules, const TokenHistory& history,
                       std::span<float> logits);
/// All other rules in transformers' order, then `allowed`. A forced token overrides what was
/// forbidden before.
void apply_rules(const TokenRules& rules, const TokenHistory& history, std::span<float> scores);

/// The rules as the constraint of one choice.
class RuledTokens final : public Constraint {
 public:
  RuledTokens(std::shared_ptr<const TokenRules> rules, const ConstraintContext& context);
  void mask(std::span<std::uint64_t> /*words*/) const override {}
  bool edits_scores() const noexcept override { return true; }
  void add_bias(std::span<float> logits) const override;
  void edit(std::span<float> scores) const override;
  std::string_view field() const noexcept override;
  void accept(std::int32_t token) override { tokens_.push_back(token); }
  void rollback(int n) override { tokens_.resize(tokens_.size() - static_cast<std::size_t>(n)); }
  bool may_end() const noexcept override { return true; }

 private:
  TokenHistory history() const noexcept { return {tokens_, n_prompt_, max_length_}; }

  std::shared_ptr<const TokenRules> rules_;
  TokenIds tokens_;
  std::size_t n_prompt_;
  std::size_t max_length_;
};

}  // namespace openllm::sampling
