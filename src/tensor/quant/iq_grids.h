#pragma once

#include <array>
#include <cstdint>

namespace openllm::tensor::quant {

// Points of the lattices that IQ codes name, as ggml has them (ggml-common.h). 8 coordinates of 2
// bits, or 4 of 3 bits for IQ3, the first one in the lowest bits.
extern const std::array<std::uint16_t, 2048> kIq1Grid;
extern const std::array<std::uint16_t, 256> kIq2XxsGrid;
extern const std::array<std::uint16_t, 512> kIq2XsGrid;
extern const std::array<std::uint16_t, 1024> kIq2SGrid;
extern const std::array<std::uint16_t, 256> kIq3XxsGrid;
extern const std::array<std::uint16_t, 512> kIq3SGrid;

}  // namespace openllm::tensor::quant
