#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "llm/compare/distribution.h"
#include "openllm/compare.h"

// What one target says of a model's tokens.
namespace openllm::llm {

/// A greedy answer.
struct GreedyAnswer {
  std::vector<std::int32_t> prompt_ids{};
  std::vector<std::int32_t> ids{};
  std::string text{};
  std::vector<ComparedToken> tokens{};  ///< Without their texts; as many as `ids`.
};

/// The distributions of a sequence's tokens but the first, each given all tokens before it.
class ForcedTokens {
 public:
  ForcedTokens(std::vector<float> logits, std::size_t vocab_size);
  explicit ForcedTokens(std::vector<TokenLogprobs> lists);

  std::size_t size() const noexcept;
  bool has_logits() const noexcept { return vocab_size_ > 0; }
  /// Of token `i + 1`. It refers to this object.
  Distribution at(std::size_t i) const;

 private:
  std::vector<float> logits_;
  std::size_t vocab_size_ = 0;
  std::vector<TokenLogprobs> lists_;
};

/// One target, loaded.
class Witness {
 public:
  Witness(const std::string& model, const CompareTarget& target, const CompareOptions& options);

  BackendInfo info() const { return llm_.backend(); }
  GreedyAnswer answer(const Prompt& prompt) const;
  /// `wants_logits`: unless the backend cannot give them.
  ForcedTokens force(const std::vector<std::int32_t>& sequence, bool wants_logits) const;
  /// Empty where there is no text for it.
  std::string text_of(std::int32_t id) const;
  /// Throws kInvalidArgument if a text has other tokens for this target's tokenizer.
  void check_tokens(const Prompt& prompt, const std::vector<std::int32_t>& ids) const;
  int vocab_size() const { return info_.vocab_size; }

 private:
  LLM llm_;
  ModelInfo info_;
  int max_new_tokens_ = 0;
  int top_ = 0;
};

}  // namespace openllm::llm
