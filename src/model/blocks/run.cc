#include "model/blocks/run.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace openllm::model {

namespace {

constexpr std::int64_t kAlign = 16;  // floats: one cache line

}  // namespace

Scratch::Scratch(device::Device& device, std::int64_t n_floats)
    : memory_(device.allocate(static_cast<std::size_t>(n_floats) * sizeof(float))),
      capacity_(n_floats) {}

std::int64_t Scratch::size_of(std::int64_t rows, std::int64_t cols) noexcept {
  return (rows * cols + kAlign - 1) / kAlign * kAlign;
}

device::Tensor Scratch::take(std::int64_t rows, std::int64_t cols) {
  const std::int64_t size = size_of(rows, cols);
  base::check(used_ + size <= capacity_, "model: a block takes more scratch than it said");
  const device::Tensor tensor{static_cast<float*>(memory_->data()) + used_, rows, cols, cols};
  used_ += size;
  return tensor;
}

void Run::use(StepAdapters& of_step) noexcept {
  adapters = of_step.rows;
  output_adapters = of_step.output_rows;
  delta_memory = &of_step;
}

namespace {

device::LinearDelta on_rows(const AdapterRows& rows, const MountedAdapter::Delta& delta,
                            float scale, const device::Weight* gains) {
  return {rows.first_row,    rows.n_rows, delta.out_begin, delta.a.get(), delta.b.get(),
          delta.shift.get(), gains,       scale,           delta.columns};
}

}  // namespace

device::LinearDeltas Run::deltas_of_first(int piece, std::int64_t n_rows) const {
  if (adapters.empty()) return {};
  std::vector<device::LinearDelta>& deltas = delta_memory->deltas;
  deltas.clear();
  for (AdapterRows rows : adapters) {
    rows.n_rows = std::min(rows.n_rows, n_rows - rows.first_row);
    if (rows.n_rows <= 0) continue;
    rows.adapter->visit(piece + piece_shift, [&](const MountedAdapter::Delta& delta, float scale,
                                                 const device::Weight* gains) {
      deltas.push_back(on_rows(rows, delta, scale, gains));
    });
  }
  return deltas;
}

device::LinearDeltas Run::deltas(int piece) const {
  return deltas_of_first(piece, std::numeric_limits<std::int64_t>::max());
}

device::ExpertDeltas Run::expert_deltas(std::span<const int> pieces) const {
  if (adapters.empty()) return {};
  std::vector<device::ExpertDelta>& deltas = delta_memory->expert_deltas;
  deltas.clear();
  for (std::size_t expert = 0; expert < pieces.size(); ++expert) {
    for (const AdapterRows& rows : adapters) {
      rows.adapter->visit(pieces[expert], [&](const MountedAdapter::Delta& delta, float scale,
                                              const device::Weight* gains) {
        deltas.push_back({static_cast<int>(expert), on_rows(rows, delta, scale, gains)});
      });
    }
  }
  return deltas;
}

device::EmbeddingDeltas Run::embedding_deltas(int piece) const {
  if (adapters.empty()) return {};
  std::vector<device::EmbeddingDelta>& deltas = delta_memory->embedding_deltas;
  deltas.clear();
  for (const AdapterRows& rows : adapters) {
    rows.adapter->visit(piece, [&](const MountedAdapter::Delta& delta, float scale,
                                   const device::Weight* /*gains*/) {
      deltas.push_back(
          {rows.first_row, rows.n_rows, delta.a.get(), delta.b.get(), scale, delta.columns});
    });
  }
  return deltas;
}

}  // namespace openllm::model
