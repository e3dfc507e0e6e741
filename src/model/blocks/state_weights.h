#pragma once

#include "model/blocks/norm.h"

namespace openllm::model {

/// Weights of recurrent mixers, in the order that operations want them.

/// A depthwise convolution [columns, 1, taps], dimensions of one left out or not, as [taps,
/// columns].
WeightPtr load_conv_taps(BlockBuilder& builder, Role role, At at, std::int64_t n_taps,
                         std::int64_t n_columns);
/// -exp of a tensor of logarithms called as its role, [n].
WeightPtr load_rates(BlockBuilder& builder, Role role, At at, std::int64_t n);
/// The same of [columns, numbers], as [numbers, columns].
WeightPtr load_rates(BlockBuilder& builder, Role role, At at, std::int64_t n_columns,
                     std::int64_t n_numbers);

}  // namespace openllm::model
