#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sampling/constraint.h"

namespace openllm::sampling {

/// Several constraints as one: a token must satisfy all, and the answer may end where all agree.
/// Masks the tokens that end the answer until then.
class ConstraintSet final : public Constraint {
 public:
  ConstraintSet(std::vector<std::unique_ptr<Constraint>> parts,
                std::vector<std::int32_t> end_token_ids);

  void mask(std::span<std::uint64_t> words) const override;
  void accept(std::int32_t token) override;
  void rollback(int n) override;
  bool edits_scores() const noexcept override;
  void add_bias(std::span<float> logits) const override;
  void edit(std::span<float> scores) const override;
  std::string_view field() const noexcept override;
  bool may_end() const noexcept override;

 private:
  std::vector<std::unique_ptr<Constraint>> parts_;
  std::vector<std::int32_t> end_token_ids_;
};

}  // namespace openllm::sampling
