// The defaults that a device may replace.

#include "device/device.h"

namespace openllm::device {

void Device::norm_linear(const NormSpec& spec, const Weight& norm_weight, const Weight* norm_bias,
                         const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
                         Tensor scratch, Tensor out) noexcept {
  norm(spec, norm_weight, norm_bias, x, scratch);
  linear(weight, bias, deltas, scratch, out);
}

void Device::gated_linear(Activation act, const Weight& weight, const Weight* bias,
                          LinearDeltas deltas, Tensor gate_up, Tensor scratch,
                          Tensor out) noexcept {
  gated_activation(act, gate_up, scratch);
  linear(weight, bias, deltas, scratch, out);
}

}  // namespace openllm::device
