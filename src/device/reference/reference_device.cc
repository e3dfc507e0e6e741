#include "device/reference/reference_device.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "base/error.h"
#include "device/reference/reference_memory.h"

namespace openllm::device {
namespace {

class HostBuffer final : public Buffer {
 public:
  explicit HostBuffer(std::size_t n) : values_(n, 0.0F) {}
  float* data() noexcept override { return values_.data(); }

 private:
  std::vector<float> values_;
};

float* row(const Tensor& x, std::int64_t t) { return x.data + t * x.stride; }

const ReferenceWeight& dense(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

float activate(Activation act, float value) {
  const double x = static_cast<double>(value);
  switch (act) {
    case Activation::kSilu:
      return static_cast<float>(x / (1.0 + std::exp(-x)));
    case Activation::kGelu:
      return static_cast<float>(0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2)));
    case Activation::kGeluTanh:
      return static_cast<float>(
          0.5 * x *
          (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x))));
    case Activation::kQuickGelu:
      return static_cast<float>(x / (1.0 + std::exp(-1.702 * x)));
    case Activation::kRelu:
      return std::max(value, 0.0F);
    case Activation::kReluSquared:
      return value > 0.0F ? value * value : 0.0F;
    case Activation::kTanh:
      return static_cast<float>(std::tanh(x));
  }
  return value;
}

/// Where one query row of a sequence looks.
struct Visible {
  std::int64_t begin = 0;
  std::int64_t end = 0;  // exclusive
};

Visible visible_range(const AttentionSpec& spec, const Batch& batch, const BatchSequence& sequence,
                      std::int32_t i) {
  const std::int64_t position = sequence.past_len + i;
  const std::int64_t length = std::int64_t{sequence.past_len} + sequence.n_rows;
  std::int64_t last = spec.causal ? position : length - 1;
  if (!batch.visible_end.empty()) {
    last = batch.visible_end[static_cast<std::size_t>(sequence.first_row + i)];
  }
  const std::int64_t begin =
      spec.window > 0 ? std::max<std::int64_t>(0, position - spec.window + 1) : 0;
  return {begin, std::min(last + 1, length)};
}

class ReferenceDevice final : public Device {
 public:
  std::string name() const override { return "reference"; }
  std::string isa() const override { return "portable"; }

  std::unique_ptr<Weight> upload(const WeightSource& source, WeightRole role) override {
    return expand_weight(source, role);
  }
  std::unique_ptr<Buffer> allocate(std::size_t n_floats) override {
    return std::make_unique<HostBuffer>(n_floats);
  }
  std::unique_ptr<KvCache> allocate_kv(const KvCacheSpec& spec) override {
    return std::make_unique<ReferenceKvCache>(spec);
  }

  void embed(const Weight& table, std::span<const std::int32_t> ids, float scale,
             Tensor out) noexcept override {
    for (std::size_t t = 0; t < ids.size(); ++t) {
      const float* from = dense(table).row(ids[t]);
      float* to = row(out, static_cast<std::int64_t>(t));
      for (std::int64_t d = 0; d < out.cols; ++d) to[d] = from[d] * scale;
    }
  }

  void add_embedding(const Weight& table, std::span<const std::int32_t> ids,
                     Tensor out) noexcept override {
    for (std::size_t t = 0; t < ids.size(); ++t) {
      const float* from = dense(table).row(ids[t]);
      float* to = row(out, static_cast<std::int64_t>(t));
      for (std::int64_t d = 0; d < out.cols; ++d) to[d] += from[d];
    }
  }

  void norm(const NormSpec& spec, const Weight& weight, const Weight* bias, Tensor x,
            Tensor out) noexcept override {
    const std::int64_t n = weight.in_features();
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t begin = 0; begin < x.cols; begin += n) {
        norm_group(spec, dense(weight).row(0), bias == nullptr ? nullptr : dense(*bias).row(0), n,
                   row(x, t) + begin, row(out, t) + begin);
      }
    }
  }

  void linear(const Weight& weight, const Weight* bias, const LinearDeltas* /*deltas*/, Tensor x,
              Tensor out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t o = 0; o < weight.out_features(); ++o) {
        double sum = dot(row(x, t), dense(weight).row(o), weight.in_features());
        if (bias != nullptr) sum += static_cast<double>(dense(*bias).row(0)[o]);
        row(out, t)[o] = static_cast<float>(sum);
      }
    }
  }

  void rope(const RopeSpec& spec, int head_dim, std::span<const std::int32_t> positions,
            Tensor x) noexcept override {
    if (spec.style == RopeStyle::kNone) return;
    const int half = spec.n_rotary / 2;
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const auto position = static_cast<float>(positions[static_cast<std::size_t>(t)]);
      for (int i = 0; i < half; ++i) {
        const float angle = position * spec.inv_freq[static_cast<std::size_t>(i)];
        const float c = std::cos(angle) * spec.attention_factor;
        const float s = std::sin(angle) * spec.attention_factor;
        const bool halves = spec.style == RopeStyle::kHalves;
        const int first = halves ? i : 2 * i;
        const int second = halves ? i + half : 2 * i + 1;
        for (std::int64_t begin = 0; begin < x.cols; begin += head_dim) {
          float* head = row(x, t) + begin;
          const float a = head[first];
          const float b = head[second];
          head[first] = a * c - b * s;
          head[second] = b * c + a * s;
        }
      }
    }
  }

  void write_kv(KvCache& cache, int layer, const Batch& batch, Tensor k,
                Tensor v) noexcept override {
    auto& memory = static_cast<ReferenceKvCache&>(cache);
    const KvLayerSpec& spec = memory.spec().layers[static_cast<std::size_t>(layer)];
    const int block_size = memory.spec().block_size;
    for (std::size_t s = 0; s < batch.sequences.size(); ++s) {
      const BatchSequence& sequence = batch.sequences[s];
      for (std::int32_t i = 0; i < sequence.n_rows; ++i) {
        const std::int64_t position = sequence.past_len + i;
        const std::int32_t block = block_of(batch, spec.group, s, position / block_size);
        const int offset = static_cast<int>(position % block_size);
        for (int h = 0; h < spec.n_kv_heads; ++h) {
          const std::int64_t column = std::int64_t{h} * spec.head_dim;
          memory.store(layer, false, block, h, offset, row(k, sequence.first_row + i) + column);
          memory.store(layer, true, block, h, offset, row(v, sequence.first_row + i) + column);
        }
      }
    }
  }

  void attention(const AttentionSpec& spec, const KvCache& cache, int layer, const Batch& batch,
                 Tensor q, Tensor out) noexcept override {
    const auto& memory = static_cast<const ReferenceKvCache&>(cache);
    for (std::size_t s = 0; s < batch.sequences.size(); ++s) {
      const BatchSequence& sequence = batch.sequences[s];
      for (std::int32_t i = 0; i < sequence.n_rows; ++i) {
        const Visible range = visible_range(spec, batch, sequence, i);
        for (int h = 0; h < spec.n_heads; ++h) {
          const std::int64_t t = sequence.first_row + i;
          const std::int64_t column = std::int64_t{h} * spec.head_dim;
          attend(spec, memory, layer, batch, s, h, range, row(q, t) + column, row(out, t) + column);
        }
      }
    }
  }

  void gated_activation(Activation act, Tensor gate_up, Tensor out) noexcept override {
    for (std::int64_t t = 0; t < out.rows; ++t) {
      const float* gate = row(gate_up, t);
      for (std::int64_t f = 0; f < out.cols; ++f) {
        row(out, t)[f] = activate(act, gate[f]) * gate[out.cols + f];
      }
    }
  }

  void activation(Activation act, Tensor x) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t f = 0; f < x.cols; ++f) row(x, t)[f] = activate(act, row(x, t)[f]);
    }
  }

  void add(Tensor x, Tensor y, float scale, Tensor out) noexcept override {
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t d = 0; d < x.cols; ++d)
        row(out, t)[d] = row(x, t)[d] + row(y, t)[d] * scale;
    }
  }

  void gather_rows(Tensor x, std::span<const std::int32_t> rows, Tensor out) noexcept override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(row(x, rows[i]), x.cols, row(out, static_cast<std::int64_t>(i)));
    }
  }

  void logits(const Weight& weight, float scale, float soft_cap, Tensor x,
              float* host_out) noexcept override {
    const std::int64_t n_vocab = weight.out_features();
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t v = 0; v < n_vocab; ++v) {
        double value = dot(row(x, t), dense(weight).row(v), weight.in_features());
        value *= static_cast<double>(scale);
        if (soft_cap > 0.0F) value = cap(value, soft_cap);
        host_out[t * n_vocab + v] = static_cast<float>(value);
      }
    }
  }

 private:
  static double cap(double value, float soft_cap) {
    return static_cast<double>(soft_cap) * std::tanh(value / static_cast<double>(soft_cap));
  }

  static void norm_group(const NormSpec& spec, const float* weight, const float* bias,
                         std::int64_t n, const float* x, float* out) {
    double mean = 0.0;
    if (spec.kind == NormKind::kLayer) {
      for (std::int64_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]);
      mean /= static_cast<double>(n);
    }
    double square = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double centred = static_cast<double>(x[i]) - mean;
      square += centred * centred;
    }
    const double inverse =
        1.0 / std::sqrt(square / static_cast<double>(n) + static_cast<double>(spec.eps));
    for (std::int64_t i = 0; i < n; ++i) {
      const double gain = static_cast<double>(weight[i]) + static_cast<double>(spec.weight_offset);
      double value = (static_cast<double>(x[i]) - mean) * inverse * gain;
      if (bias != nullptr) value += static_cast<double>(bias[i]);
      out[i] = static_cast<float>(value);
    }
  }

  static std::int32_t block_of(const Batch& batch, int group, std::size_t sequence,
                               std::int64_t block) {
    const BlockTable& table = batch.block_tables[static_cast<std::size_t>(group)];
    return table.ids[static_cast<std::size_t>(table.begin[sequence] + block)];
  }

  /// One query head against the cache: softmax with the maximum subtracted, keys in ascending
  /// order.
  void attend(const AttentionSpec& spec, const ReferenceKvCache& memory, int layer,
              const Batch& batch, std::size_t sequence, int head, Visible range, const float* q,
              float* out) {
    const KvLayerSpec& kv = memory.spec().layers[static_cast<std::size_t>(layer)];
    const int block_size = memory.spec().block_size;
    const int kv_head = head / (spec.n_heads / spec.n_kv_heads);
    const auto head_dim = static_cast<std::size_t>(spec.head_dim);
    scores_.clear();
    vector_.resize(head_dim);
    sums_.assign(head_dim, 0.0);
    double best = -std::numeric_limits<double>::infinity();
    for (std::int64_t p = range.begin; p < range.end; ++p) {
      memory.load(layer, false, block_of(batch, kv.group, sequence, p / block_size), kv_head,
                  static_cast<int>(p % block_size), vector_.data());
      double score = dot(q, vector_.data(), spec.head_dim) * static_cast<double>(spec.scale);
      if (spec.soft_cap > 0.0F) score = cap(score, spec.soft_cap);
      best = std::max(best, score);
      scores_.push_back(score);
    }
    double total = 0.0;
    for (std::int64_t p = range.begin; p < range.end; ++p) {
      const double weight = std::exp(scores_[static_cast<std::size_t>(p - range.begin)] - best);
      total += weight;
      memory.load(layer, true, block_of(batch, kv.group, sequence, p / block_size), kv_head,
                  static_cast<int>(p % block_size), vector_.data());
      for (std::size_t d = 0; d < head_dim; ++d)
        sums_[d] += weight * static_cast<double>(vector_[d]);
    }
    for (std::size_t d = 0; d < head_dim; ++d) {
      out[d] = total > 0.0 ? static_cast<float>(sums_[d] / total) : 0.0F;
    }
  }

  std::vector<double> scores_;
  std::vector<double> sums_;
  std::vector<float> vector_;
};

}  // namespace

std::unique_ptr<Device> make_reference_device(const DeviceOptions& /*options*/) {
  return std::make_unique<ReferenceDevice>();
}

}  // namespace openllm::device
