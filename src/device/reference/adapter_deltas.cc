#include "device/reference/adapter_deltas.h"

#include <cstddef>
#include <vector>

#include "device/lookup.h"
#include "device/reference/reference_memory.h"

namespace openllm::device {
namespace {

const ReferenceWeight& dense(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

float* row(const Tensor& x, std::int64_t t) { return static_cast<float*>(x.data) + t * x.stride; }

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

void apply_delta(const Weight& weight, const LinearDelta& delta, const float* x, float* out) {
  std::vector<float> low;
  for (std::int64_t r = 0; delta.a != nullptr && r < delta.a->out_features(); ++r)
    low.push_back(static_cast<float>(dot(x, dense(*delta.a).row(r), delta.a->in_features())));
  const float* const in = delta.a == nullptr ? x : low.data();
  for (std::int64_t o = 0; o < delta.n_out(); ++o) {
    double d = delta.shift == nullptr ? 0.0 : static_cast<double>(dense(*delta.shift).row(0)[o]);
    if (delta.b != nullptr) d += dot(in, dense(*delta.b).row(o), delta.b->in_features());
    float& to = out[delta.columns.empty() ? delta.out_begin + o
                                          : delta.columns[static_cast<std::size_t>(o)]];
    if (delta.b != nullptr && delta.a == nullptr) {
      to = static_cast<float>(d);
      continue;
    }
    d *= static_cast<double>(delta.scale);
    if (delta.gains != nullptr) {
      const auto gain = static_cast<double>(dense(*delta.gains).row(0)[o]);
      const double y = dot(x, dense(weight).row(delta.out_begin + o), weight.in_features());
      d = (gain - 1.0) * y + gain * d;
    }
    to += static_cast<float>(d);
  }
}

}  // namespace

void apply_deltas(const Weight& weight, LinearDeltas deltas, Tensor x, Tensor out) {
  for (const LinearDelta& delta : deltas) {
    for (std::int64_t t = delta.first_row; t < delta.first_row + delta.n_rows; ++t)
      apply_delta(weight, delta, row(x, t), row(out, t));
  }
}

void apply_embedding_deltas(const step::Step& step, EmbeddingDeltas deltas, Tensor out) {
  for (const EmbeddingDelta& delta : deltas) {
    for (std::int64_t t = delta.first_row; t < delta.first_row + delta.n_rows; ++t) {
      const std::int64_t from = looked_up_row(step, delta, t);
      if (from < 0) continue;
      const float* low = dense(*delta.table).row(from);
      for (std::int64_t d = 0; d < out.cols; ++d) {
        float& to = row(out, t)[d];
        if (delta.b == nullptr) {
          to = low[d] * delta.scale;
        } else {
          to += delta.scale *
                static_cast<float>(dot(low, dense(*delta.b).row(d), delta.b->in_features()));
        }
      }
    }
  }
}

}  // namespace openllm::device
