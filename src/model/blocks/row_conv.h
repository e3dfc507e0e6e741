#pragma once

#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {

namespace role {
inline constexpr Role kRowConv{"row_conv"};
inline constexpr Role kRowConvNorm{"row_conv.norm"};  ///< Of the sum.
}  // namespace role

/// A convolution over the rows of a whole sequence beside a layer (DeBERTa v2): the layer f gives
/// norm(f(x) + act(conv(x))), where conv(x)[t] = bias + sum_j taps[j] x[t + j - (n_taps - 1) / 2],
/// with zeros beyond the sequence.
struct RowConvSpec {
  int n_taps = 0;    ///< Odd.
  int n_groups = 1;  ///< Of columns, which do not meet those of other groups.
  device::Activation activation = device::Activation::kTanh;
};

class RowConv {
 public:
  RowConv(const RowConvSpec& spec, BlockBuilder& builder, At at);

  std::int64_t scratch(std::int64_t n_rows) const noexcept;
  /// out = act(conv(x)); they must not overlap.
  void run(Run& run, device::Tensor x, device::Tensor out) const;
  /// x = norm(x + h)
  void join(Run& run, device::Tensor h, device::Tensor x) const;

 private:
  const RowConvSpec spec_;
  const std::int64_t dim_;
  WeightPtr taps_;  ///< [D, n_taps * D]
  WeightPtr bias_;
  Norm norm_;
};

}  // namespace openllm::model
