#pragma once

#include "sampling/constraint.h"

namespace openllm::sampling {

/// The answer has at least `min` tokens; any tokens.
class MinNewTokens final : public Constraint {
 public:
  explicit MinNewTokens(int min) : min_(min) {}
  void mask(std::span<std::uint64_t> /*words*/) const override {}
  void accept(std::int32_t /*token*/) override { ++n_accepted_; }
  void rollback(int n) override { n_accepted_ -= n; }
  bool may_end() const noexcept override { return n_accepted_ >= min_; }

 private:
  int min_;
  int n_accepted_ = 0;
};

}  // namespace openllm::sampling
