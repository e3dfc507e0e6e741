#include "device/position_bias.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace openllm::device {

int position_bucket(const PositionBiasSpec& spec, std::int64_t distance) {
  int n_buckets = spec.n_buckets;
  int first = 0;
  std::int64_t d = distance;
  if (spec.bidirectional) {
    n_buckets /= 2;
    if (d > 0) first = n_buckets;
    d = std::abs(d);
  } else {
    d = std::max<std::int64_t>(-d, 0);
  }
  const int n_exact = n_buckets / 2;
  if (d < n_exact) return first + static_cast<int>(d);
  // In f32 where transformers computes so.
  const auto range = static_cast<float>(std::log(static_cast<double>(spec.max_distance) / n_exact));
  const float ratio = std::log(static_cast<float>(d) / static_cast<float>(n_exact)) / range;
  const float bucket = ratio * static_cast<float>(n_buckets - n_exact);
  const int coarse = n_exact + static_cast<int>(std::min(bucket, 1e6F));
  return first + std::min(coarse, n_buckets - 1);
}

HostPositionBias::HostPositionBias(const PositionBiasSpec& spec, std::vector<float> table)
    : spec_(spec),
      table_(std::move(table)),
      n_heads_(static_cast<int>(spec.kind == PositionBiasSpec::Kind::kSlopes
                                    ? spec.slopes.size()
                                    : table_.size() / static_cast<std::size_t>(spec.n_buckets))) {}

float HostPositionBias::at(int head, std::int64_t distance) const {
  if (spec_.kind == PositionBiasSpec::Kind::kSlopes) {
    const std::int64_t steps = spec_.by_distance ? -std::abs(distance) : distance;
    return spec_.slopes[static_cast<std::size_t>(head)] * static_cast<float>(steps);
  }
  return table_[static_cast<std::size_t>(position_bucket(spec_, distance) * n_heads_ + head)];
}

void HostPositionBias::reserve(std::int64_t length) {
  constexpr std::int64_t kMargin = 64;  // kernels read whole units of positions
  if (length + kMargin <= half_) return;
  const std::int64_t half = (length + kMargin) * 3 / 2;
  std::vector<float> values(static_cast<std::size_t>(2 * half * n_heads_));
  for (int head = 0; head < n_heads_; ++head) {
    float* const center = values.data() + (2 * head + 1) * half;
    for (std::int64_t d = -half; d < half; ++d) center[d] = at(head, d);
  }
  values_ = std::move(values);
  half_ = half;
}

}  // namespace openllm::device
