#include "model/blocks/row_conv.h"

#include <cstddef>
#include <utility>

namespace openllm::model {
namespace {

using device::Tensor;

/// From a file's [D, D / groups, taps] to the matrix [D, taps * D] of a linear over the rows that
/// the taps see, side by side.
void spread_taps(const RowConvSpec& spec, std::int64_t dim, std::vector<float>& values) {
  const auto n_taps = static_cast<std::size_t>(spec.n_taps);
  const auto n = static_cast<std::size_t>(dim);
  const std::size_t n_in = n / static_cast<std::size_t>(spec.n_groups);
  std::vector<float> matrix(n * n_taps * n, 0.0F);
  for (std::size_t out = 0; out < n; ++out) {
    const std::size_t begin = out / n_in * n_in;  // first column of its group
    for (std::size_t in = 0; in < n_in; ++in) {
      for (std::size_t tap = 0; tap < n_taps; ++tap) {
        matrix[(out * n_taps + tap) * n + begin + in] = values[(out * n_in + in) * n_taps + tap];
      }
    }
  }
  values = std::move(matrix);
}

}  // namespace

RowConv::RowConv(const RowConvSpec& spec, BlockBuilder& builder, At at)
    : spec_(spec),
      dim_(builder.dim),
      taps_(builder.loader.changed_matrix(
          role::kRowConv, at, {dim_, dim_ / spec.n_groups, spec.n_taps}, ".weight", dim_,
          spec.n_taps * dim_,
          [&](std::vector<float>& values) { spread_taps(spec, builder.dim, values); })),
      bias_(builder.loader.bias(role::kRowConv, at, dim_)),
      norm_(builder, role::kRowConvNorm, at, dim_) {}

std::int64_t RowConv::scratch(std::int64_t n_rows) const noexcept {
  return Scratch::size_of(n_rows, spec_.n_taps * dim_);
}

void RowConv::run(Run& run, Tensor x, Tensor out) const {
  const Scratch::Frame frame(run.scratch);
  const Tensor seen = run.scratch.take(x.rows, spec_.n_taps * dim_);
  for (int tap = 0; tap < spec_.n_taps; ++tap) {
    run.device.shift_rows(tap - (spec_.n_taps - 1) / 2, x, seen.columns(tap * dim_, dim_));
  }
  run.device.linear(*taps_, bias_.get(), {}, seen, out);
  run.device.activation(spec_.activation, out);
}

void RowConv::join(Run& run, Tensor h, Tensor x) const {
  run.device.add(x, h, 1.0F, x);
  norm_.run(run, x, x);
}

}  // namespace openllm::model
