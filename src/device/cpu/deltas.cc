// What adapters make of linears and embeddings: all deltas of one linear at once, as there may be
// one for each of many rows.

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "device/cpu/cpu_device_impl.h"
#include "device/lookup.h"
#include "kernels/packing.h"

namespace openllm::device::cpu {
namespace {

bool needs_product(const LinearDelta& delta) { return delta.b != nullptr && delta.n_rows > 0; }

/// Products of adapters are made of values; others would need activations in a form of their own.
const CpuWeight& plain_weight(const Weight& weight) {
  const CpuWeight& plain = as_cpu(weight);
  for (const Segment& segment : plain.segments())
    base::check(!kernels::is_quantised(segment.matrix.format), "device: a quantised adapter");
  return plain;
}

}  // namespace

void CpuDevice::plan_deltas(LinearDeltas deltas, Tensor out) {
  std::int64_t n_floats = 0;
  const auto take = [&](std::int64_t n) { return std::exchange(n_floats, n_floats + n); };
  delta_places_.clear();
  bool has_gains = false;
  for (const LinearDelta& delta : deltas) {
    has_gains |= delta.gains != nullptr;
    DeltaMemory& place = delta_places_.emplace_back();
    if (!needs_product(delta)) continue;
    if (delta.a != nullptr) place.low = take(delta.n_rows * delta.a->out_features());
    place.high = take(delta.n_rows * delta.n_out());
  }
  delta_base_ = has_gains ? take(out.rows * out.cols) : -1;
  delta_memory_.reserve(static_cast<std::size_t>(n_floats) * sizeof(float));
}

/// Products of all deltas side by side: first with every a, then with every b.
void CpuDevice::multiply_deltas(LinearDeltas deltas, Tensor x) {
  auto* const memory = reinterpret_cast<float*>(delta_memory_.data());
  const auto low_of = [&](std::size_t i) {
    const std::int64_t rank = deltas[i].a->out_features();
    return Tensor{memory + delta_places_[i].low, deltas[i].n_rows, rank, rank};
  };
  const auto rows_of = [&](std::size_t i) {
    return x.row_range(deltas[i].first_row, deltas[i].n_rows);
  };
  products_.clear();
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    if (!needs_product(deltas[i]) || deltas[i].a == nullptr) continue;
    products_.push_back(
        {&plain_weight(*deltas[i].a), nullptr, 0, deltas[i].n_rows, rows_of(i), low_of(i), true});
  }
  multiply(products_, {});
  products_.clear();
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    const LinearDelta& delta = deltas[i];
    if (!needs_product(delta)) continue;
    const std::int64_t n = delta.n_out();
    const Tensor high{memory + delta_places_[i].high, delta.n_rows, n, n};
    products_.push_back({&plain_weight(*delta.b), vector_of(delta.shift), 0, delta.n_rows,
                         delta.a == nullptr ? rows_of(i) : low_of(i), high, true});
  }
  multiply(products_, {});
}

void CpuDevice::apply_deltas(LinearDeltas deltas, const Weight* bias, Tensor x, Tensor out) {
  if (deltas.empty()) return;
  plan_deltas(deltas, out);
  multiply_deltas(deltas, x);
  auto* const memory = reinterpret_cast<float*>(delta_memory_.data());
  std::int64_t n_columns = 0;
  for (const LinearDelta& delta : deltas) n_columns = std::max(n_columns, delta.n_out());
  // Row by row, as several deltas may be for one.
  for_rows(out.rows, 0.5 * static_cast<double>(n_columns), [&](std::int64_t t) {
    if (delta_base_ >= 0)
      std::copy_n(row_of(out, t), out.cols, memory + delta_base_ + t * out.cols);
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const LinearDelta& delta = deltas[i];
      if (t >= delta.first_row && t < delta.first_row + delta.n_rows)
        add_delta_row(delta, delta_places_[i].high, vector_of(bias), t, out);
    }
  });
}

void CpuDevice::add_delta_row(const LinearDelta& delta, std::int64_t high, const float* bias,
                              std::int64_t t, Tensor out) const {
  const auto* const memory = reinterpret_cast<const float*>(delta_memory_.data());
  const std::int64_t n = delta.n_out();
  float* const to = row_of(out, t) + (delta.columns.empty() ? delta.out_begin : 0);
  if (delta.b == nullptr) return kernels_.add(to, vector_of(delta.shift), delta.scale, n, to);
  const float* const made = memory + high + (t - delta.first_row) * n;
  if (delta.a == nullptr && delta.columns.empty()) {
    std::copy_n(made, n, to);
  } else if (delta.a == nullptr) {
    for (std::int64_t o = 0; o < n; ++o) to[delta.columns[static_cast<std::size_t>(o)]] = made[o];
  } else if (delta.gains == nullptr) {
    kernels_.add(to, made, delta.scale, n, to);
  } else {
    const float* const gains = vector_of(delta.gains);
    const float* const base = memory + delta_base_ + t * out.cols + delta.out_begin;
    for (std::int64_t o = 0; o < n; ++o) {
      const float y = base[o] - (bias == nullptr ? 0.0F : bias[delta.out_begin + o]);
      to[o] += (gains[o] - 1.0F) * y + gains[o] * delta.scale * made[o];
    }
  }
}

void CpuDevice::embed_deltas(EmbeddingDeltas deltas, Tensor out) noexcept {
  guarded([&] {
    for (const EmbeddingDelta& delta : deltas) {
      if (delta.n_rows == 0) continue;
      const CpuWeight& table = as_cpu(*delta.table);
      const std::int64_t rank = table.in_features();
      delta_memory_.reserve(static_cast<std::size_t>(delta.n_rows * (rank + out.cols)) *
                            sizeof(float));
      auto* const memory = reinterpret_cast<float*>(delta_memory_.data());
      const Tensor low{memory, delta.n_rows, rank, rank};
      const Tensor high{memory + delta.n_rows * rank, delta.n_rows, out.cols, out.cols};
      for_rows(delta.n_rows, 0.5 * static_cast<double>(rank), [&](std::int64_t i) {
        const std::int64_t from = looked_up_row(*step_, delta, delta.first_row + i);
        std::fill_n(row_of(low, i), rank, 0.0F);
        if (from < 0) return;
        table.read_row(from, row_of(low, i));
        if (delta.b != nullptr) return;
        float* const to = row_of(out, delta.first_row + i);
        for (std::int64_t d = 0; d < out.cols; ++d) to[d] = row_of(low, i)[d] * delta.scale;
      });
      if (delta.b == nullptr) continue;
      const Product product{&plain_weight(*delta.b), nullptr, 0, delta.n_rows, low, high, true};
      multiply({&product, 1}, {});
      for_rows(delta.n_rows, 0.2 * static_cast<double>(out.cols), [&](std::int64_t i) {
        float* const to = row_of(out, delta.first_row + i);
        kernels_.add(to, row_of(high, i), delta.scale, out.cols, to);
      });
    }
  });
}

}  // namespace openllm::device::cpu
