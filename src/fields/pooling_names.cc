#include <array>
#include <utility>

#include "openllm/embed.h"

namespace openllm {

namespace {

constexpr std::array<std::pair<Pooling, std::string_view>, 6> kPoolingNames = {{
    {Pooling::kMean, "mean"},
    {Pooling::kCls, "cls"},
    {Pooling::kLast, "last"},
    {Pooling::kMax, "max"},
    {Pooling::kMeanSqrtLen, "mean_sqrt_len"},
    {Pooling::kWeightedMean, "weighted_mean"},
}};

}  // namespace

std::string_view to_string(Pooling pooling) noexcept {
  for (const auto& [known, name] : kPoolingNames) {
    if (known == pooling) return name;
  }
  return "";
}

std::optional<Pooling> pooling_named(std::string_view name) noexcept {
  for (const auto& [pooling, known] : kPoolingNames) {
    if (known == name) return pooling;
  }
  return std::nullopt;
}

}  // namespace openllm
