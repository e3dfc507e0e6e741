#include "model/arch/alibi.h"

#include <cmath>

namespace openllm::model {
namespace {

std::vector<float> slopes_of(int n, double max_bias) {
  std::vector<float> slopes;
  for (int i = 1; i <= n; ++i) {
    slopes.push_back(static_cast<float>(std::exp2(-max_bias * i / n)));
  }
  return slopes;
}

}  // namespace

device::PositionBiasSpec alibi(int n_heads, float factor) {
  int n = 1;
  while (2 * n <= n_heads) n *= 2;
  device::PositionBiasSpec bias;
  bias.kind = device::PositionBiasSpec::Kind::kSlopes;
  bias.n_heads = n_heads;
  bias.slopes = slopes_of(n, 8.0);
  const std::vector<float> finer = slopes_of(2 * n, 8.0);
  for (std::size_t i = 0; bias.slopes.size() < static_cast<std::size_t>(n_heads); i += 2) {
    bias.slopes.push_back(finer[i]);
  }
  for (float& slope : bias.slopes) slope *= factor;
  return bias;
}

device::PositionBiasSpec alibi_of_mpt(int n_heads, double max_bias) {
  int n = 1;
  while (n < n_heads) n *= 2;
  const std::vector<float> finer = slopes_of(n, max_bias);
  device::PositionBiasSpec bias;
  bias.kind = device::PositionBiasSpec::Kind::kSlopes;
  bias.n_heads = n_heads;
  if (n == n_heads) {
    bias.slopes = finer;
    return bias;
  }
  for (std::size_t i = 1; i < finer.size(); i += 2) bias.slopes.push_back(finer[i]);
  for (std::size_t i = 0; i < finer.size(); i += 2) bias.slopes.push_back(finer[i]);
  bias.slopes.resize(static_cast<std::size_t>(n_heads));
  return bias;
}

}  // namespace openllm::model
