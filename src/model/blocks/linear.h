#pragma once

#include <vector>

#include "model/blocks/norm.h"

namespace openllm::model {

/// A linear whose outputs may come from several modules (fused QKV, gate and up).
class Linear {
 public:
  Linear() = default;
  Linear(BlockBuilder& builder, const std::vector<LinearPart>& parts, std::int64_t n_in, At at);

  std::int64_t n_out() const noexcept { return n_out_; }
  /// out = linear(x); they must not overlap.
  void run(Run& run, device::Tensor x, device::Tensor out) const;
  /// out = linear(norm(x)); the norm is computed once however many pieces there are.
  void run(Run& run, const Input& input, device::Tensor out) const;
  /// out = linear(act(gate) * up), gate_up: [T, 2 n_in]; `scratch`: [T, n_in].
  void run_gated(Run& run, device::Activation activation, device::Tensor gate_up,
                 device::Tensor scratch, device::Tensor out) const;

 private:
  std::vector<LinearPiece> pieces_{};
  std::int64_t n_out_ = 0;
};

}  // namespace openllm::model
