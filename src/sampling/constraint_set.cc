#include "sampling/constraint_set.h"

#include <algorithm>
#include <utility>

namespace openllm::sampling {

ConstraintSet::ConstraintSet(std::vector<std::unique_ptr<Constraint>> parts,
                             std::vector<std::int32_t> end_token_ids)
    : parts_(std::move(parts)), end_token_ids_(std::move(end_token_ids)) {}

void ConstraintSet::mask(std::span<std::uint64_t> words) const {
  for (const auto& part : parts_) part->mask(words);
  if (may_end()) return;
  for (const std::int32_t token : end_token_ids_) forbid(words, token);
}

void ConstraintSet::accept(std::int32_t token) {
  for (const auto& part : parts_) part->accept(token);
}

void ConstraintSet::rollback(int n) {
  for (const auto& part : parts_) part->rollback(n);
}

bool ConstraintSet::edits_scores() const noexcept {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const auto& part) { return part->edits_scores(); });
}

void ConstraintSet::add_bias(std::span<float> logits) const {
  for (const auto& part : parts_) part->add_bias(logits);
}

void ConstraintSet::edit(std::span<float> scores) const {
  for (const auto& part : parts_) part->edit(scores);
}

std::string_view ConstraintSet::field() const noexcept {
  for (const auto& part : parts_) {
    if (!part->field().empty()) return part->field();
  }
  return {};
}

bool ConstraintSet::may_end() const noexcept {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const auto& part) { return part->may_end(); });
}

}  // namespace openllm::sampling
