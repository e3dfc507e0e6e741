#include "model/blocks/run.h"

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
  delta_memory = &of_step.deltas;
}

device::LinearDeltas Run::deltas(const LinearPiece& piece) const {
  if (adapters.empty()) return {};
  delta_memory->clear();
  for (const AdapterRows& rows : adapters) {
    for (const MountedAdapter::Delta& delta : rows.adapter->of(piece.id)) {
      delta_memory->push_back({rows.first_row, rows.n_rows, delta.out_begin, delta.a.get(),
                               delta.b.get(), delta.scale});
    }
  }
  return *delta_memory;
}

}  // namespace openllm::model
