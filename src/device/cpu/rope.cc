#include "device/cpu/rope.h"

#include <cmath>
#include <utility>

namespace openllm::device::cpu {

CpuRope::CpuRope(RopeSpec spec) : spec_(std::move(spec)) {}

bool CpuRope::begin_table(std::uint64_t step_number, const step::Step& step) {
  if (step_number_ == step_number) return false;
  const auto n = static_cast<std::size_t>(step.n_rows() * half());
  cosines_.resize(n);
  sines_.resize(n);
  if (spec_.growth.kind != RopeGrowth::Kind::kNone) {
    grown_.clear();
    sequence_of_row_.clear();
    for (const step::SequenceRows& sequence : step.sequences) {
      sequence_of_row_.insert(sequence_of_row_.end(), static_cast<std::size_t>(sequence.n_rows),
                              grown_.size());
      grown_.push_back(grown_frequencies(spec_, sequence.rope_len));
    }
  }
  step_number_ = step_number;
  return true;
}

void CpuRope::fill_row(const step::Step& step, std::int64_t t) noexcept {
  const auto row = static_cast<std::size_t>(t);
  const auto n = spec_.inv_freq.size();
  const std::vector<float>& inv_freq =
      spec_.growth.kind == RopeGrowth::Kind::kNone ? spec_.inv_freq : grown_[sequence_of_row_[row]];
  const auto position = static_cast<float>(step.positions[row]);
  for (std::size_t i = 0; i < n; ++i) {
    const float angle = position * inv_freq[i];
    cosines_[row * n + i] = std::cos(angle) * spec_.attention_factor;
    sines_[row * n + i] = std::sin(angle) * spec_.attention_factor;
  }
}

}  // namespace openllm::device::cpu
