#include "model/blocks/norm.h"

#include <algorithm>

namespace openllm::model {
namespace {

/// Weights of heads: one tensor [n_heads, group] or [n], or a module for each head.
WeightPtr load_groups(WeightLoader& loader, Role role, At at, std::int64_t n, std::int64_t group) {
  const TensorIndex& index = loader.index();
  if (!index.has_expert_numbers(role, at)) {
    const tensor::TensorView* found = index.find(index.module(role, at) + ".weight");
    if (found != nullptr && found->shape == tensor::Shape{n}) return loader.vector(role, at, n);
  }
  return loader.head_vectors(role, at, n / group, group);
}

}  // namespace

Norm::Norm(BlockBuilder& builder, Role role, At at, std::int64_t n, const NormSpec& spec)
    : spec_(spec) {
  WeightLoader& loader = builder.loader;
  if (!spec_.has_weight) {
    weight_ = loader.constant(n, 1.0F - spec_.weight_offset);
  } else if (spec_.group > 0) {
    weight_ = load_groups(loader, role, at, n, spec_.group);
  } else {
    weight_ = loader.vector(role, at, n);
  }
  if (spec_.kind == device::NormKind::kLayer && spec_.has_bias) bias_ = loader.bias(role, at, n);
  if (!spec_.adapts || !spec_.has_weight || loader.index().has_expert_numbers(role, at)) return;
  piece_ = loader.list_module({.ref = {role, at},
                               .n_out = n,
                               .n_in = spec_.group > 0 ? std::int64_t{spec_.group} : n,
                               .weight = weight_.get(),
                               .bias = bias_.get(),
                               .is_norm = true,
                               .norm_added = spec_.added - spec_.weight_offset});
}

bool Norm::has_deltas(const Run& run) const {
  if (piece_ < 0) return false;
  return std::any_of(run.adapters.begin(), run.adapters.end(), [&](const AdapterRows& rows) {
    bool found = false;
    rows.adapter->visit(piece_ + run.piece_shift,
                        [&](const MountedAdapter::Delta& /*delta*/, float /*scale*/,
                            const device::Weight* /*gains*/) { found = true; });
    return found;
  });
}

void Norm::run(Run& run, device::Tensor x, device::Tensor out) const {
  std::int64_t begin = 0;  // Rows before it are done.
  const auto until = [&](std::int64_t end, const device::Weight* weight,
                         const device::Weight* bias) {
    if (end <= begin) return;
    run.device.norm(spec_, *weight, bias, x.row_range(begin, end - begin),
                    out.row_range(begin, end - begin));
    begin = end;
  };
  for (const AdapterRows& rows : run.adapters) {
    if (piece_ < 0) break;
    rows.adapter->visit(
        piece_ + run.piece_shift,
        [&](const MountedAdapter::Delta& delta, float /*scale*/, const device::Weight* /*gains*/) {
          until(std::min(rows.first_row, x.rows), weight_.get(), bias_.get());
          until(std::min(rows.first_row + rows.n_rows, x.rows),
                delta.a != nullptr ? delta.a.get() : weight_.get(),
                delta.shift != nullptr ? delta.shift.get() : bias_.get());
        });
  }
  until(x.rows, weight_.get(), bias_.get());
}

}  // namespace openllm::model
