#include "model/blocks/linear.h"

namespace openllm::model {

using device::Tensor;

Linear::Linear(BlockBuilder& builder, const std::vector<LinearPart>& parts, std::int64_t n_in,
               At at)
    : pieces_(builder.loader.linear(parts, n_in, at)) {
  builder.loader.list_modules(parts, n_in, at, pieces_);
  for (const LinearPart& part : parts) n_out_ += part.n_out;
}

void Linear::run(Run& run, Tensor x, Tensor out) const {
  for (const LinearPiece& piece : pieces_) {
    run.device.linear(*piece.weight, piece.bias.get(), run.deltas(piece.id), x,
                      out.columns(piece.begin, piece.weight->out_features()));
  }
}

void Linear::run(Run& run, const Input& input, Tensor out) const {
  if (input.norm == nullptr || pieces_.size() != 1 || input.norm->has_deltas(run)) {
    this->run(run, input.normalised(run), out);
    return;
  }
  const Norm& norm = *input.norm;
  run.device.norm_linear(norm.spec(), norm.weight(), norm.bias(), *pieces_[0].weight,
                         pieces_[0].bias.get(), run.deltas(pieces_[0].id), input.x, input.scratch,
                         out);
}

void Linear::run_gated(Run& run, device::Activation activation, Tensor gate_up, Tensor scratch,
                       Tensor out) const {
  if (pieces_.size() != 1) {
    run.device.gated_activation(activation, gate_up, scratch);
    this->run(run, scratch, out);
    return;
  }
  run.device.gated_linear(activation, *pieces_[0].weight, pieces_[0].bias.get(),
                          run.deltas(pieces_[0].id), gate_up, scratch, out);
}

}  // namespace openllm::model
