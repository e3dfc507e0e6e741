#include "model/blocks/state_weights.h"

#include <algorithm>
#include <cmath>
#include <string>
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

/// -exp of logarithms. GGUF has the rates themselves.
void to_rates(const BlockBuilder& builder, const std::string& name, std::vector<float>& values) {
  if (builder.loader.index().checkpoint().kind() != format::Checkpoint::Kind::kGguf) {
    for (float& value : values) value = -std::exp(value);
    return;
  }
  const auto worst = std::find_if(values.begin(), values.end(), [](float value) {
    return !(value <= 0.0F && std::isfinite(value));
  });
  if (worst == values.end()) return;
  base::fail_at(ErrorCode::kCorruptData, builder.loader.index().checkpoint().path(), "tensor ",
                name, ": bad value (expected rates of decay, which are negative, got ", *worst,
                ")");
}

/// The shape that the tensor has, where it is `expected` but for dimensions of one.
tensor::Shape shape_in_file(const BlockBuilder& builder, const std::string& name,
                            const tensor::Shape& expected) {
  const auto without_ones = [](const tensor::Shape& shape) {
    std::vector<std::int64_t> dims;
    for (int i = 0; i < shape.n_dims(); ++i) {
      if (shape[i] != 1) dims.push_back(shape[i]);
    }
    return dims;
  };
  const tensor::TensorView* found = builder.loader.index().find(name);
  const bool is_same = found != nullptr && without_ones(found->shape) == without_ones(expected);
  return is_same ? found->shape : expected;
}

}  // namespace

WeightPtr load_conv_taps(BlockBuilder& builder, Role role, At at, std::int64_t n_taps,
                         std::int64_t n_columns) {
  const tensor::Shape shape = shape_in_file(
      builder, builder.loader.index().module(role, at) + ".weight", {n_columns, 1, n_taps});
  return builder.loader.changed(role, at, shape, ".weight", [&](std::vector<float>& values) {
    turn(values, n_columns, n_taps);
  });
}

WeightPtr load_rates(BlockBuilder& builder, Role role, At at, std::int64_t n) {
  const std::string name = builder.loader.index().module(role, at);
  return builder.loader.changed(
      role, at, shape_in_file(builder, name, {n}), "",
      [&](std::vector<float>& values) { to_rates(builder, name, values); });
}

WeightPtr load_rates(BlockBuilder& builder, Role role, At at, std::int64_t n_columns,
                     std::int64_t n_numbers) {
  const std::string name = builder.loader.index().module(role, at);
  return builder.loader.changed(role, at, {n_columns, n_numbers}, "",
                                [&](std::vector<float>& values) {
                                  to_rates(builder, name, values);
                                  turn(values, n_columns, n_numbers);
                                });
}

}  // namespace openllm::model
