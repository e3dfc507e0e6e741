#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "sampling/constraint.h"

namespace openllm::sampling {

/// Clears the bits of all tokens but these.
inline void keep_only(std::span<std::uint64_t> words, std::span<const std::int32_t> tokens) {
  std::vector<std::uint64_t> keep(words.size(), 0);
  for (const std::int32_t token : tokens) {
    const auto t = static_cast<std::size_t>(token);
    keep[t / 64] |= std::uint64_t{1} << (t % 64);
  }
  for (std::size_t i = 0; i < words.size(); ++i) words[i] &= keep[i];
}

/// A double: the answer begins with given tokens, and may end behind them.
class ForcedTokens final : public Constraint {
 public:
  explicit ForcedTokens(std::vector<std::int32_t> tokens) : tokens_(std::move(tokens)) {}
  void mask(std::span<std::uint64_t> words) const override {
    if (n_accepted_ < tokens_.size()) {
      keep_only(words, std::span<const std::int32_t>(tokens_).subspan(n_accepted_, 1));
    }
  }
  void accept(std::int32_t token) override {
    base::check(n_accepted_ >= tokens_.size() || token == tokens_[n_accepted_],
                "forced tokens: another token was accepted");
    ++n_accepted_;
  }
  void rollback(int n) override { n_accepted_ -= static_cast<std::size_t>(n); }
  bool may_end() const noexcept override { return n_accepted_ >= tokens_.size(); }

 private:
  std::vector<std::int32_t> tokens_;
  std::size_t n_accepted_ = 0;
};

/// A double: allows about half of the vocabulary, another half after each accepted token, and an
/// end only where its hash is even. A token accepted twice or not at all changes all that follows.
class HashConstraint final : public Constraint {
 public:
  explicit HashConstraint(std::uint64_t seed) : states_{base::mix64(seed)} {}
  void mask(std::span<std::uint64_t> words) const override {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] &= base::mix64(states_.back() + i) | 1U;
  }
  void accept(std::int32_t token) override {
    states_.push_back(base::mix64(states_.back() ^ static_cast<std::uint64_t>(token)));
  }
  void rollback(int n) override { states_.resize(states_.size() - static_cast<std::size_t>(n)); }
  bool may_end() const noexcept override { return states_.back() % 2 == 0; }

 private:
  std::vector<std::uint64_t> states_;
};

}  // namespace openllm::sampling
