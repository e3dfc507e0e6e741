#include "device/cpu/cpu_device.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "device/cpu/cpu_device_impl.h"

namespace openllm::device {

namespace cpu {

namespace {

class CpuBuffer final : public Buffer {
 public:
  explicit CpuBuffer(std::size_t n_floats) : memory_(n_floats * sizeof(float)) {}
  float* data() noexcept override { return reinterpret_cast<float*>(memory_.data()); }

 private:
  AlignedMemory memory_;
};

float* row_of(Tensor t, std::int64_t row) { return t.data + row * t.stride; }

}  // namespace

const CpuWeight& as_cpu(const Weight& weight) { return static_cast<const CpuWeight&>(weight); }

const float* vector_of(const Weight* weight) {
  return weight == nullptr ? nullptr : as_cpu(*weight).vector();
}

kernels::Act to_act(Activation act) {
  switch (act) {
    case Activation::kSilu:
      return kernels::Act::kSilu;
    case Activation::kGelu:
      return kernels::Act::kGelu;
    case Activation::kGeluTanh:
      return kernels::Act::kGeluTanh;
    case Activation::kQuickGelu:
      return kernels::Act::kQuickGelu;
    case Activation::kRelu:
      return kernels::Act::kRelu;
    case Activation::kReluSquared:
      return kernels::Act::kReluSquared;
    case Activation::kTanh:
      return kernels::Act::kTanh;
  }
  return kernels::Act::kSilu;
}

CpuDevice::CpuDevice(const kernels::Kernels& kernels, int n_threads, Precision precision)
    : kernels_(kernels), team_(n_threads), precision_(precision) {}

std::unique_ptr<Weight> CpuDevice::upload(const WeightSource& source, WeightRole role) {
  return CpuWeight::upload(source, role, team_);
}

std::unique_ptr<Buffer> CpuDevice::allocate(std::size_t n_floats) {
  return std::make_unique<CpuBuffer>(n_floats);
}

std::unique_ptr<KvCache> CpuDevice::allocate_kv(const KvCacheSpec& spec) {
  return std::make_unique<CpuKvCache>(spec);
}

void CpuDevice::finish_step() {
  if (!failure_) return;
  const std::exception_ptr failure = failure_;
  failure_ = nullptr;
  std::rethrow_exception(failure);
}

void CpuDevice::embed(const Weight& table, std::span<const std::int32_t> ids, float scale,
                      Tensor out) noexcept {
  guarded([&] {
    const CpuWeight& weight = as_cpu(table);
    for_rows(static_cast<std::int64_t>(ids.size()), 4.0 * static_cast<double>(out.cols),
             [&](std::int64_t t) {
               const std::int32_t id = ids[static_cast<std::size_t>(t)];
               if (id < 0) return;  // an embedding that the caller gives
               float* row = row_of(out, t);
               weight.read_row(id, row);
               if (scale != 1.0F) kernels_.scale_cap(row, out.cols, scale, 0.0F);
             });
  });
}

void CpuDevice::add_embedding(const Weight& table, std::span<const std::int32_t> ids,
                              Tensor out) noexcept {
  guarded([&] {
    const CpuWeight& weight = as_cpu(table);
    std::vector<float> row(static_cast<std::size_t>(out.cols));
    for (std::size_t t = 0; t < ids.size(); ++t) {
      if (ids[t] < 0) continue;
      weight.read_row(ids[t], row.data());
      float* to = row_of(out, static_cast<std::int64_t>(t));
      kernels_.add(to, row.data(), 1.0F, out.cols, to);
    }
  });
}

void CpuDevice::norm_row(const NormSpec& spec, const CpuWeight& weight, const float* bias,
                         const float* x, std::int64_t n_columns, float* out) const {
  const std::int64_t n = weight.in_features();
  for (std::int64_t i = 0; i + n <= n_columns; i += n) {
    if (spec.kind == NormKind::kRms) {
      kernels_.rms_norm(x + i, weight.vector(), spec.weight_offset, spec.eps, n, out + i);
      if (bias != nullptr) kernels_.add(out + i, bias, 1.0F, n, out + i);
    } else {
      kernels_.layer_norm(x + i, weight.vector(), bias, spec.weight_offset, spec.eps, n, out + i);
    }
  }
}

void CpuDevice::norm(const NormSpec& spec, const Weight& weight, const Weight* bias, Tensor x,
                     Tensor out) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.4 * static_cast<double>(x.cols), [&](std::int64_t t) {
      norm_row(spec, as_cpu(weight), vector_of(bias), row_of(x, t), x.cols, row_of(out, t));
    });
  });
}

const CpuDevice::RopeTable& CpuDevice::rope_table(const RopeSpec& spec,
                                                  std::span<const std::int32_t> positions) {
  ++rope_clock_;
  for (RopeTable& table : rope_tables_) {
    if (table.factor == spec.attention_factor && table.inv_freq == spec.inv_freq &&
        std::equal(positions.begin(), positions.end(), table.positions.begin(),
                   table.positions.end())) {
      table.last_use = rope_clock_;
      return table;
    }
  }
  constexpr std::size_t kTables = 4;
  if (rope_tables_.size() < kTables) rope_tables_.emplace_back();
  RopeTable& table = *std::min_element(
      rope_tables_.begin(), rope_tables_.end(),
      [](const RopeTable& a, const RopeTable& b) { return a.last_use < b.last_use; });
  table.last_use = rope_clock_;
  table.factor = spec.attention_factor;
  table.inv_freq = spec.inv_freq;
  table.positions.assign(positions.begin(), positions.end());
  const std::size_t half = spec.inv_freq.size();
  table.cosines.resize(positions.size() * half);
  table.sines.resize(positions.size() * half);
  for_rows(static_cast<std::int64_t>(positions.size()), 20.0 * static_cast<double>(half),
           [&](std::int64_t t) {
             const auto row = static_cast<std::size_t>(t);
             const auto position = static_cast<float>(positions[row]);
             for (std::size_t i = 0; i < half; ++i) {
               const float angle = position * table.inv_freq[i];
               table.cosines[row * half + i] = std::cos(angle) * table.factor;
               table.sines[row * half + i] = std::sin(angle) * table.factor;
             }
           });
  return table;
}

void CpuDevice::rope(const RopeSpec& spec, int head_dim, std::span<const std::int32_t> positions,
                     Tensor x) noexcept {
  guarded([&] {
    if (spec.style == RopeStyle::kNone) return;
    const RopeTable& table = rope_table(spec, positions);
    const auto half = static_cast<std::int64_t>(spec.inv_freq.size());
    const auto rotate =
        spec.style == RopeStyle::kHalves ? kernels_.rotate_halves : kernels_.rotate_pairs;
    for_rows(x.rows, 0.5 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* row = row_of(x, t);
      for (std::int64_t i = 0; i + head_dim <= x.cols; i += head_dim) {
        rotate(row + i, table.cosines.data() + t * half, table.sines.data() + t * half, half);
      }
    });
  });
}

void CpuDevice::gated_activation(Activation act, Tensor gate_up, Tensor out) noexcept {
  guarded([&] {
    for_rows(out.rows, static_cast<double>(out.cols), [&](std::int64_t t) {
      const float* gate = row_of(gate_up, t);
      kernels_.gate(to_act(act), gate, gate + out.cols, out.cols, row_of(out, t));
    });
  });
}

void CpuDevice::activation(Activation act, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, static_cast<double>(x.cols), [&](std::int64_t t) {
      kernels_.activate(to_act(act), row_of(x, t), x.cols, row_of(x, t));
    });
  });
}

void CpuDevice::add(Tensor x, Tensor y, float scale, Tensor out) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols), [&](std::int64_t t) {
      kernels_.add(row_of(x, t), row_of(y, t), scale, x.cols, row_of(out, t));
    });
  });
}

void CpuDevice::gather_rows(Tensor x, std::span<const std::int32_t> rows, Tensor out) noexcept {
  guarded([&] {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(row_of(out, static_cast<std::int64_t>(i)), row_of(x, rows[i]),
                  static_cast<std::size_t>(x.cols) * sizeof(float));
    }
  });
}

}  // namespace cpu

std::vector<std::string> cpu_isas() {
  const kernels::Kernels* all[kernels::kMaxKernels] = {};
  const std::size_t n = kernels::list_kernels(all, kernels::kMaxKernels);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n; ++i) names.emplace_back(all[i]->name);
  return names;
}

std::unique_ptr<Device> make_cpu_device(const DeviceOptions& options) {
  const kernels::Kernels* kernels = kernels::find_kernels(options.isa.c_str());
  if (kernels == nullptr) {
    std::string known;
    for (const std::string& isa : cpu_isas()) known += (known.empty() ? "" : ", ") + isa;
    base::fail(ErrorCode::kUnavailable,
               "device cpu: instruction set not available (expected one of ", known, "; got ",
               options.isa, ")");
  }
  const auto precision = options.fast_activations ? cpu::Precision::kCoarse : cpu::Precision::kFine;
  return std::make_unique<cpu::CpuDevice>(*kernels, options.n_threads, precision);
}

}  // namespace openllm::device
