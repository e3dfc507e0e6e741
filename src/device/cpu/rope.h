#pragma once

#include <cstdint>
#include <vector>

#include "device/ops.h"
#include "step/step.h"

namespace openllm::device::cpu {

/// A rotary embedding and the cosines and sines of the running step's positions, which all layers
/// of the step share.
class CpuRope final : public Rope {
 public:
  explicit CpuRope(RopeSpec spec);

  const RopeSpec& spec() const noexcept { return spec_; }
  /// Pairs that rotate.
  std::int64_t half() const noexcept { return static_cast<std::int64_t>(spec_.inv_freq.size()); }
  /// True when the step's table is not there yet; every row is then to be filled.
  bool begin_table(std::uint64_t step_number, const step::Step& step);
  /// Rows may be filled by several threads at once.
  void fill_row(const step::Step& step, std::int64_t t) noexcept;
  const float* cosines(std::int64_t t) const noexcept { return cosines_.data() + t * half(); }
  const float* sines(std::int64_t t) const noexcept { return sines_.data() + t * half(); }

 private:
  RopeSpec spec_;
  std::uint64_t step_number_ = 0;  ///< Of the step that the table belongs to.
  std::vector<float> cosines_{};   ///< [T, half]
  std::vector<float> sines_{};
  /// Where frequencies depend on the length of a sequence: those of each sequence, and the
  /// sequence of each row.
  std::vector<std::vector<float>> grown_{};
  std::vector<std::size_t> sequence_of_row_{};
};

}  // namespace openllm::device::cpu
