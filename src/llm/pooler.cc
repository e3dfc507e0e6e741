#include "llm/pooler.h"

#include <algorithm>
#include <cmath>

namespace openllm::llm {

Pooler::Pooler(Pooling pooling, std::size_t n_tokens, std::size_t n_skipped, std::size_t size)
    : pooling_(pooling), sum_(size, 0.0) {
  const auto end = static_cast<int>(n_tokens);
  const int begin = std::min(static_cast<int>(n_skipped), end - 1);
  rows_ = {begin, end};
  if (pooling == Pooling::kCls) rows_ = {0, 1};
  if (pooling == Pooling::kLast) rows_ = {end - 1, end};
}

void Pooler::add(int n, const float* rows) {
  for (int row = 0; row < n; ++row, rows += sum_.size()) {
    const double weight =
        pooling_ == Pooling::kWeightedMean ? static_cast<double>(n_added_ + 1) : 1.0;
    const bool replaces = n_added_ == 0;
    for (std::size_t i = 0; i < sum_.size(); ++i) {
      const auto value = static_cast<double>(rows[i]);
      if (pooling_ == Pooling::kMax) {
        sum_[i] = replaces ? value : std::max(sum_[i], value);
      } else {
        sum_[i] += value * weight;
      }
    }
    ++n_added_;
  }
}

std::vector<float> Pooler::take() const {
  const auto n = static_cast<double>(n_added_);
  double divisor = 1.0;
  if (pooling_ == Pooling::kMean) divisor = n;
  if (pooling_ == Pooling::kMeanSqrtLen) divisor = std::sqrt(n);
  if (pooling_ == Pooling::kWeightedMean) divisor = n * (n + 1) / 2;
  std::vector<float> vector;
  vector.reserve(sum_.size());
  for (const double sum : sum_) vector.push_back(static_cast<float>(sum / divisor));
  return vector;
}

void normalize(std::vector<float>& vector) noexcept {
  double square = 0.0;
  for (const float x : vector) square += static_cast<double>(x) * static_cast<double>(x);
  if (square <= 0.0) return;
  const double length = std::sqrt(square);
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / length);
}

}  // namespace openllm::llm
