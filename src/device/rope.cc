#include <cmath>

#include "device/ops.h"

namespace openllm::device {

std::vector<float> rope_frequencies(double base, int n_rotary, int denominator) {
  std::vector<float> out;
  const auto rounded = static_cast<double>(static_cast<float>(base));
  for (int i = 0; i < n_rotary; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(denominator);
    out.push_back(1.0F / static_cast<float>(std::pow(rounded, static_cast<double>(exponent))));
  }
  return out;
}

std::vector<float> grown_frequencies(const RopeSpec& spec, int length) {
  const RopeGrowth& growth = spec.growth;
  if (growth.kind == RopeGrowth::Kind::kNone || length <= growth.original_len) return spec.inv_freq;
  if (growth.kind == RopeGrowth::Kind::kLong) return growth.long_inv_freq;
  const double ratio = growth.factor * length / growth.original_len - (growth.factor - 1.0);
  const double n = spec.n_rotary;
  return rope_frequencies(growth.base * std::pow(ratio, n / (n - 2.0)), spec.n_rotary,
                          spec.n_rotary);
}

}  // namespace openllm::device
