#include "model/blocks/state_weights.h"

#include <cmath>
#include <vector>

namespace openllm::model {
namespace {

/// From [rows, cols] to [cols, rows].
void turn(std::vector<float>& values, std::int64_t rows, std::int64_t cols) {
  std::vector<float> turned(values.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      turned[static_cast<std::size_t>(c * rows + r)] =
          values[static_cast<std::size_t>(r * cols + c)];
    }
  }
  values = std::move(turned);
}

void to_rates(std::vector<float>& values) {
  for (float& value : values) value = -std::exp(value);
}

}  // namespace

WeightPtr load_conv_taps(BlockBuilder& builder, Role role, At at, std::int64_t n_taps,
                         std::int64_t n_columns) {
  return builder.loader.changed(
      role, at, {n_columns, 1, n_taps}, ".weight",
      [&](std::vector<float>& values) { turn(values, n_columns, n_taps); });
}

WeightPtr load_rates(BlockBuilder& builder, Role role, At at, std::int64_t n) {
  const TensorIndex& index = builder.loader.index();
  const tensor::TensorView* found = index.find(index.module(role, at));
  const tensor::Shape of_heads{1, 1, n, 1};  // as KDA's lie in files
  const bool is_turned = found != nullptr && found->shape == of_heads;
  return builder.loader.changed(role, at, is_turned ? of_heads : tensor::Shape{n}, "", to_rates);
}

WeightPtr load_rates(BlockBuilder& builder, Role role, At at, std::int64_t n_columns,
                     std::int64_t n_numbers) {
  return builder.loader.changed(role, at, {n_columns, n_numbers}, "",
                                [&](std::vector<float>& values) {
                                  to_rates(values);
                                  turn(values, n_columns, n_numbers);
                                });
}

}  // namespace openllm::model
