#pragma once

#include <cstdint>
#include <vector>

#include "device/ops.h"

namespace openllm::device {

/// Bucket of a distance (key position - query position), as T5 has them. Source: transformers 5,
/// models/t5/modeling_t5.py, `_relative_position_bucket`.
int position_bucket(const PositionBiasSpec& spec, std::int64_t distance);

/// Position biases in host memory: for devices that compute there.
class HostPositionBias final : public PositionBias {
 public:
  /// `table`: for kBuckets, [n_buckets, heads].
  HostPositionBias(const PositionBiasSpec& spec, std::vector<float> table);

  float at(int head, std::int64_t distance) const;
  /// Makes `row` work for sequences of that length.
  void reserve(std::int64_t length);
  /// Biases of the query at `position`, one for each key position.
  const float* row(int head, std::int64_t position) const {
    return values_.data() + (2 * head + 1) * half_ - position;
  }

 private:
  const PositionBiasSpec spec_;
  const std::vector<float> table_;
  int n_heads_ = 0;
  std::int64_t half_ = 0;        ///< Distances on each side of 0.
  std::vector<float> values_{};  ///< [heads, 2 * half]
};

}  // namespace openllm::device
