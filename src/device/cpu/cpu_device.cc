#include "device/cpu/cpu_device.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "device/cpu/cpu_device_impl.h"
#include "device/lookup.h"
#include "device/position_scale.h"

namespace openllm::device {

namespace cpu {

namespace {

class CpuBuffer final : public Buffer {
 public:
  explicit CpuBuffer(std::size_t n_bytes) : memory_(n_bytes) {}
  void* data() noexcept override { return memory_.data(); }

 private:
  AlignedMemory memory_;
};

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

CpuDevice::CpuDevice(const kernels::Kernels& kernels, int n_threads, Precision precision,
                     bool sizes_only)
    : kernels_(kernels), team_(n_threads), precision_(precision), sizes_only_(sizes_only) {}

std::unique_ptr<Weight> CpuDevice::upload(const WeightSource& source, WeightRole role) {
  return CpuWeight::upload(source, role, sizes_only_ ? nullptr : &team_, &arena_,
                           known_ ? &*known_ : nullptr);
}

std::unique_ptr<Weight> CpuDevice::upload_beside(const WeightSource& source, WeightRole role) {
  base::ThreadTeam alone(1);
  return CpuWeight::upload(source, role, sizes_only_ ? nullptr : &alone, &beside_);
}

void CpuDevice::read_row(const Weight& weight, std::int64_t row, float* out) const {
  const CpuWeight& from = as_cpu(weight);
  if (from.vector() != nullptr) {
    std::copy_n(from.vector(), from.in_features(), out);
    return;
  }
  const std::int32_t* const order = from.column_order();
  if (order == nullptr) return from.read_row(row, out);
  std::vector<float> sorted(static_cast<std::size_t>(from.in_features()));
  from.read_row(row, sorted.data());
  for (std::size_t k = 0; k < sorted.size(); ++k) out[order[k]] = sorted[k];
}

std::unique_ptr<Buffer> CpuDevice::allocate(std::size_t n_bytes) {
  return std::make_unique<CpuBuffer>(n_bytes);
}

void CpuDevice::copy_kv_block(KvCache& cache, int group, std::int32_t from,
                              std::int32_t to) noexcept {
  static_cast<CpuKvCache&>(cache).copy_block(group, from, to);
}

std::unique_ptr<KvCache> CpuDevice::allocate_kv(const KvCacheSpec& spec) {
  return std::make_unique<CpuKvCache>(spec);
}

std::int64_t CpuDevice::kv_block_bytes(const KvLayerSpec& layer, KvType type,
                                       int block_size) const noexcept {
  return CpuKvCache::plan(layer, type, block_size).block_bytes;
}

std::unique_ptr<Rope> CpuDevice::make_rope(const RopeSpec& spec) {
  return std::make_unique<CpuRope>(spec);
}

void CpuDevice::begin_step(const step::Step& step) noexcept {
  step_ = &step;
  ++step_number_;
  guarded([&] { base::check(!sizes_only_, "device: it has sizes of weights alone"); });
}

void CpuDevice::finish_step() {
  if (!failure_) return;
  const std::exception_ptr failure = failure_;
  failure_ = nullptr;
  std::rethrow_exception(failure);
}

void CpuDevice::embed(const Weight& table, const Lookup& lookup, Tensor out) noexcept {
  guarded([&] {
    const CpuWeight& weight = as_cpu(table);
    if (lookup.add) {
      delta_memory_.reserve(static_cast<std::size_t>(out.rows * out.cols) * sizeof(float));
    }
    const auto write_row = [&](std::int64_t t, std::int64_t id) {
      float* row = row_of(out, t);
      if (lookup.add) {
        float* values = reinterpret_cast<float*>(delta_memory_.data()) + t * out.cols;
        weight.read_row(id, values);
        kernels_.add(row, values, lookup.scale, out.cols, row);
      } else {
        weight.read_row(id, row);
        if (lookup.scale != 1.0F) kernels_.scale_cap(row, out.cols, lookup.scale, 0.0F);
      }
    };
    for_rows(out.rows, 4.0 * static_cast<double>(out.cols), [&](std::int64_t t) {
      const std::int32_t id = looked_up_row(*step_, lookup, t);
      if (id >= 0) write_row(t, id);
    });
    if (lookup.by != Lookup::By::kTokenId || step_->embeddings.empty()) return;
    const float* given = step_->embeddings.data();
    for (std::int64_t t = 0; t < out.rows; ++t) {
      if (step_->token_ids[static_cast<std::size_t>(t)] >= 0) continue;
      std::copy_n(given, out.cols, row_of(out, t));
      given += out.cols;
    }
  });
}

void CpuDevice::norm_row(const NormSpec& spec, const CpuWeight& weight, const float* bias,
                         const float* x, std::int64_t n_columns, float* out) const {
  const std::int64_t n = spec.group > 0 ? spec.group : weight.in_features();
  for (std::int64_t i = 0; i + n <= n_columns; i += n) {
    const std::int64_t first = i % weight.in_features();
    const float* gains = weight.vector() + first;
    const float* shifts = bias == nullptr ? nullptr : bias + first;
    if (spec.kind == NormKind::kRms) {
      kernels_.rms_norm(x + i, gains, spec.weight_offset, spec.eps, n, out + i);
      if (shifts != nullptr) kernels_.add(out + i, shifts, 1.0F, n, out + i);
    } else {
      kernels_.layer_norm(x + i, gains, shifts, spec.weight_offset, spec.eps, n, out + i);
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

void CpuDevice::rope(Rope& rope, int head_dim, Tensor x) noexcept {
  guarded([&] {
    auto& own = static_cast<CpuRope&>(rope);
    const RopeSpec& spec = own.spec();
    if (spec.style == RopeStyle::kNone) return;
    if (own.begin_table(step_number_, *step_)) {
      for_rows(x.rows, 20.0 * static_cast<double>(own.half()),
               [&](std::int64_t t) { own.fill_row(*step_, t); });
    }
    const auto rotate =
        spec.style == RopeStyle::kHalves ? kernels_.rotate_halves : kernels_.rotate_pairs;
    for_rows(x.rows, 0.5 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* row = row_of(x, t);
      for (std::int64_t i = 0; i + head_dim <= x.cols; i += head_dim) {
        rotate(row + i, own.cosines(t), own.sines(t), own.half());
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

void CpuDevice::apply_gate(Tensor gate, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 4.0 * static_cast<double>(x.cols), [&](std::int64_t t) {
      const float* from = row_of(gate, t);
      float* values = row_of(x, t);
      const std::int64_t step = gate.cols == 1 ? 0 : 1;
      for (std::int64_t i = 0; i < x.cols; ++i) values[i] /= 1.0F + std::exp(-from[i * step]);
    });
  });
}

void CpuDevice::clamped_gate(const ClampedGate& gate, Tensor gate_up, Tensor out) noexcept {
  guarded([&] {
    const std::int64_t step = gate.paired ? 2 : 1;
    for_rows(out.rows, 5.0 * static_cast<double>(out.cols), [&](std::int64_t t) {
      const float* const gates = row_of(gate_up, t);
      const float* const ups = gates + (gate.paired ? 1 : out.cols);
      float* const to = row_of(out, t);
      for (std::int64_t i = 0; i < out.cols; ++i) {
        const float g = std::min(gates[i * step], gate.limit);
        const float u = std::min(std::max(ups[i * step], -gate.limit), gate.limit);
        to[i] = (u + 1.0F) * g / (1.0F + std::exp(-gate.alpha * g));
      }
    });
  });
}

void CpuDevice::xielu(const Weight& parameters, Tensor x) noexcept {
  guarded([&] {
    const float* const p = vector_of(&parameters);
    const auto softplus = [](float value) { return std::log1p(std::exp(value)); };
    const float positive = softplus(p[0]);
    const float negative = p[2] + softplus(p[1]);
    for_rows(x.rows, 5.0 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* const values = row_of(x, t);
      for (std::int64_t i = 0; i < x.cols; ++i) {
        const float v = values[i];
        const float curved =
            v > 0.0F ? positive * v * v : negative * (std::expm1(std::min(v, p[3])) - v);
        values[i] = curved + p[2] * v;
      }
    });
  });
}

void CpuDevice::scale_by_position(const PositionScale& scale, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols), [&](std::int64_t t) {
      const float factor = position_factor(scale, step_->positions[static_cast<std::size_t>(t)]);
      float* const values = row_of(x, t);
      for (std::int64_t i = 0; i < x.cols; ++i) values[i] *= factor;
    });
  });
}

void CpuDevice::scale(float factor, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.1 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* const values = row_of(x, t);
      for (std::int64_t i = 0; i < x.cols; ++i) values[i] *= factor;
    });
  });
}

void CpuDevice::scale_columns(const Weight& factors, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols),
             [&](std::int64_t t) { kernels_.multiply(row_of(x, t), vector_of(&factors), x.cols); });
  });
}

void CpuDevice::add_scaled_rows(Tensor factors, Tensor x, Tensor out) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols), [&](std::int64_t t) {
      kernels_.add(row_of(out, t), row_of(x, t), row_of(factors, t)[0], x.cols, row_of(out, t));
    });
  });
}

void CpuDevice::match_sizes(Tensor like, float least, Tensor x) noexcept {
  guarded([&] {
    const auto size = [](const float* values, std::int64_t n) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < n; ++i)
        sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
      return static_cast<float>(std::sqrt(sum / static_cast<double>(n)));
    };
    for_rows(x.rows, 3.0 * static_cast<double>(x.cols), [&](std::int64_t t) {
      const float wanted = size(row_of(like, t), like.cols);
      const float factor = wanted / std::max(size(row_of(x, t), x.cols), least);
      kernels_.scale_cap(row_of(x, t), x.cols, factor, 0.0F);
    });
  });
}

void CpuDevice::cut_below(float n_deviations, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 3.0 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* const values = row_of(x, t);
      double sum = 0.0;
      for (std::int64_t i = 0; i < x.cols; ++i) sum += static_cast<double>(values[i]);
      const double mean = sum / static_cast<double>(x.cols);
      double square = 0.0;
      for (std::int64_t i = 0; i < x.cols; ++i) {
        const double centred = static_cast<double>(values[i]) - mean;
        square += centred * centred;
      }
      const double deviation = std::sqrt(square / static_cast<double>(x.cols));
      const auto cutoff = static_cast<float>(mean + static_cast<double>(n_deviations) * deviation);
      for (std::int64_t i = 0; i < x.cols; ++i) values[i] = std::max(0.0F, values[i] - cutoff);
    });
  });
}

void CpuDevice::clamp(float limit, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* values = row_of(x, t);
      for (std::int64_t i = 0; i < x.cols; ++i)
        values[i] = std::min(std::max(values[i], -limit), limit);
    });
  });
}

void CpuDevice::shift_rows(int offset, Tensor x, Tensor out) noexcept {
  guarded([&] {
    for (const step::SequenceRows& sequence : step_->sequences) {
      for_rows(sequence.n_rows, 0.1 * static_cast<double>(x.cols), [&](std::int64_t i) {
        const std::int64_t from = i + offset;
        float* const to = row_of(out, sequence.first_row + i);
        if (from < 0 || from >= sequence.n_rows) {
          std::fill_n(to, x.cols, 0.0F);
        } else {
          std::copy_n(row_of(x, sequence.first_row + from), x.cols, to);
        }
      });
    }
  });
}

void CpuDevice::copy(Tensor x, Tensor out) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.1 * static_cast<double>(x.cols),
             [&](std::int64_t t) { std::copy_n(row_of(x, t), x.cols, row_of(out, t)); });
  });
}

void CpuDevice::add(Tensor x, Tensor y, float scale, Tensor out) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols), [&](std::int64_t t) {
      kernels_.add(row_of(x, t), row_of(y, t), scale, x.cols, row_of(out, t));
    });
  });
}

void CpuDevice::gather_outputs(Tensor x, Tensor out) noexcept {
  guarded([&] {
    std::int64_t to = 0;
    for (const auto* rows : {&step_->logit_rows, &step_->hidden_rows}) {
      for (const std::int32_t row : *rows) std::copy_n(row_of(x, row), x.cols, row_of(out, to++));
    }
  });
}

void CpuDevice::read(Tensor x, float* host_out) noexcept {
  guarded([&] {
    for (std::int64_t t = 0; t < x.rows; ++t)
      std::copy_n(row_of(x, t), x.cols, host_out + t * x.cols);
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

void use_packed_weights(Device& device, PackedWeights& packed) {
  if (auto* const cpu = dynamic_cast<cpu::CpuDevice*>(&device)) cpu->use_packed(packed);
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
  return std::make_unique<cpu::CpuDevice>(*kernels, options.n_threads, precision,
                                          options.sizes_only);
}

}  // namespace openllm::device
