// The defaults that a device may replace.

#include <algorithm>

#include "device/device.h"

namespace openllm::device {

void Device::put_rows(const float* source, std::span<const std::int32_t> rows,
                      Tensor out) noexcept {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(source + static_cast<std::int64_t>(i) * out.cols, out.cols,
                out.data + rows[i] * out.stride);
  }
}

void Device::norm_linear(const NormSpec& spec, const Weight& norm_weight, const Weight* norm_bias,
                         const Weight& weight, const Weight* bias, const LinearDeltas* deltas,
                         Tensor x, Tensor scratch, Tensor out) noexcept {
  norm(spec, norm_weight, norm_bias, x, scratch);
  linear(weight, bias, deltas, scratch, out);
}

void Device::gated_linear(Activation act, const Weight& weight, const Weight* bias,
                          const LinearDeltas* deltas, Tensor gate_up, Tensor scratch,
                          Tensor out) noexcept {
  gated_activation(act, gate_up, scratch);
  linear(weight, bias, deltas, scratch, out);
}

}  // namespace openllm::device
