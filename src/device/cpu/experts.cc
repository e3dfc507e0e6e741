#include <algorithm>
#include <iterator>

#include "device/cpu/cpu_device_impl.h"
#include "device/routed_slots.h"

namespace openllm::device::cpu {

namespace {

class CpuRouting final : public Routing {
 public:
  explicit CpuRouting(const RouterSpec& spec) : slots(spec) {}
  RoutedSlots slots;
};

const RoutedSlots& slots_of(const Routing& routing) {
  return static_cast<const CpuRouting&>(routing).slots;
}

}  // namespace

std::unique_ptr<Routing> CpuDevice::make_routing(const RouterSpec& spec) {
  return std::make_unique<CpuRouting>(spec);
}

void CpuDevice::route(Routing& routing, const Weight* bias, Tensor scores) noexcept {
  guarded([&] {
    RoutedSlots& slots = static_cast<CpuRouting&>(routing).slots;
    slots.resize(scores.rows);
    const float* shift = vector_of(bias);
    for_rows(scores.rows, 20.0 * static_cast<double>(scores.cols),
             [&](std::int64_t t) { slots.choose(t, row_of(scores, t), shift); });
    slots.sort();
  });
}

void CpuDevice::scatter_to_experts(const Routing& routing, Tensor x, Tensor out) noexcept {
  guarded([&] {
    const RoutedSlots& slots = slots_of(routing);
    for_rows(out.rows, 0.1 * static_cast<double>(x.cols), [&](std::int64_t slot) {
      const float* const from = row_of(x, slots.row_of(slot));
      const float weight = slots.input_weight(slot);
      float* const to = row_of(out, slot);
      for (std::int64_t i = 0; i < x.cols; ++i) to[i] = from[i] * weight;
    });
  });
}

/// Gains see what the expert's linear gave, without its bias: its deltas come together.
void CpuDevice::apply_expert_deltas(const RoutedSlots& slots, std::span<const Weight* const> biases,
                                    ExpertDeltas deltas, Tensor x, Tensor out) {
  slot_deltas_.clear();
  bool has_gains = false;
  for (const ExpertDelta& delta : deltas) {
    slot_deltas_.push_back(slots.of_slots(delta));
    has_gains |= delta.delta.gains != nullptr;
  }
  const std::span<const LinearDelta> all(slot_deltas_);
  if (!has_gains) return apply_deltas(all, nullptr, x, out);
  for (std::size_t begin = 0; begin < deltas.size();) {
    const int expert = deltas[begin].expert;
    std::size_t end = begin;
    while (end < deltas.size() && deltas[end].expert == expert) ++end;
    apply_deltas(all.subspan(begin, end - begin),
                 biases.empty() ? nullptr : biases[static_cast<std::size_t>(expert)], x, out);
    begin = end;
  }
}

void CpuDevice::grouped_linear(const Routing& routing, std::span<const Weight* const> experts,
                               std::span<const Weight* const> biases, ExpertDeltas deltas, Tensor x,
                               Tensor out) noexcept {
  guarded([&] {
    const RoutedSlots& slots = slots_of(routing);
    Forms forms;
    products_.clear();
    const auto expert_of = [this](std::int64_t row) {
      const auto next = std::upper_bound(
          products_.begin(), products_.end(), row,
          [](std::int64_t r, const Product& product) { return r < product.row_begin; });
      return std::prev(next)->weight;
    };
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const auto expert = static_cast<int>(e);
      const std::int64_t begin = slots.begin(expert);
      const std::int64_t end = slots.begin(expert + 1);
      if (begin == end) continue;
      const CpuWeight& weight = as_cpu(*experts[e]);
      const Forms own = forms_of(weight);
      forms.quantised |= own.quantised;
      forms.bf16 |= own.bf16;
      if (own.order != nullptr) forms.order = own.order;
      products_.push_back(
          {&weight, biases.empty() ? nullptr : vector_of(biases[e]), begin, end, x, out});
    }
    if (forms.any()) {
      reserve_forms(forms, x.rows, x.cols, Rows::kInRanges);
      for_rows(x.rows, 0.3 * static_cast<double>(x.cols), [&](std::int64_t row) {
        Forms own = forms;
        if (forms.order != nullptr) own.order = expert_of(row)->column_order();
        convert(own, x, row);
      });
    }
    multiply(products_, {});
    apply_expert_deltas(slots, biases, deltas, x, out);
  });
}

void CpuDevice::gather_from_experts(const Routing& routing, Tensor x, Tensor out) noexcept {
  guarded([&] {
    const RoutedSlots& slots = slots_of(routing);
    for_rows(out.rows, 0.3 * static_cast<double>(out.cols * slots.top_k()), [&](std::int64_t t) {
      float* to = row_of(out, t);
      std::fill_n(to, out.cols, 0.0F);
      for (int i = 0; i < slots.top_k(); ++i) {
        const RoutedSlots::Slot slot = slots.slot(t, i);
        kernels_.add(to, row_of(x, slot.index), slot.weight, out.cols, to);
      }
    });
  });
}

}  // namespace openllm::device::cpu
