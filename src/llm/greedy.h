#pragma once

#include "openllm/llm_config.h"

namespace openllm::llm {

/// The sampler's bound: at this temperature and below it takes the likeliest token.
constexpr float kGreedyTemperature = 1e-5F;

/// And where top_p is below this.
constexpr float kGreedyTopP = 1e-8F;

inline bool is_greedy(float temperature, float top_p) noexcept {
  return temperature <= kGreedyTemperature || top_p < kGreedyTopP;
}

/// A temperature that means greedy becomes 0, and top_p, which then has nothing to choose from, 1.
inline void make_greedy_plain(LLMConfig& config) {
  if (config.temperature.value_or(1.0F) > kGreedyTemperature) return;
  config.temperature = 0.0F;
  config.top_p = 1.0F;
}

}  // namespace openllm::llm
