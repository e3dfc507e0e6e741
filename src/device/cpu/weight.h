#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/thread_team.h"
#include "device/cpu/memory.h"
#include "device/device.h"
#include "device/packed_weights.h"
#include "kernels/kernels.h"
#include "tensor/dtype.h"

namespace openllm::device::cpu {

/// Rows of a weight that share a layout: parts of different types keep theirs.
struct Segment {
  kernels::PackedMatrix matrix{};
  AlignedMemory memory{};  ///< Empty where the matrix lies in PackedWeights.
  std::int64_t first_row = 0;
};

/// What was packed before, and the layouts of this program by which it is asked.
class KnownLayouts {
 public:
  explicit KnownLayouts(PackedWeights& packed) : packed_(packed) {}
  PackedWeights& packed() noexcept { return packed_; }
  std::uint64_t fingerprint(kernels::PackFormat format);
  /// Of what a type of a file becomes before it is packed; 0 where it is packed as it is.
  std::uint64_t fingerprint(tensor::DType from);

 private:
  PackedWeights& packed_;
  std::map<kernels::PackFormat, std::uint64_t> formats_{};
  std::map<tensor::DType, std::uint64_t> types_{};
};

class CpuWeight final : public Weight {
 public:
  std::int64_t out_features() const noexcept override { return out_features_; }
  std::int64_t in_features() const noexcept override { return in_features_; }
  std::size_t bytes() const noexcept override;

  const std::vector<Segment>& segments() const noexcept { return segments_; }
  /// The order in which quantised segments take the inputs; null: as they come.
  const std::int32_t* column_order() const noexcept {
    return column_order_.empty() ? nullptr : column_order_.data();
  }
  /// Of vectors; null for matrices.
  const float* vector() const noexcept { return vector_.empty() ? nullptr : vector_.data(); }
  /// Writes row `row` in f32.
  void read_row(std::int64_t row, float* out) const;

  /// Without a team: sizes alone (DeviceOptions::sizes_only). Without an arena: in memory of its
  /// own.
  static std::unique_ptr<CpuWeight> upload(const WeightSource& source, WeightRole role,
                                           base::ThreadTeam* team, Arena* arena,
                                           KnownLayouts* known = nullptr);

 private:
  std::int64_t out_features_ = 0;
  std::int64_t in_features_ = 0;
  std::vector<Segment> segments_{};
  std::vector<std::int32_t> column_order_{};
  std::vector<float> vector_{};
};

}  // namespace openllm::device::cpu
