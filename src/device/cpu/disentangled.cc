// Attention with scores for distances in buckets: one row of queries after the other, each over all
// keys of its sequence.

#include <algorithm>
#include <cmath>
#include <limits>

#include "device/cpu/cpu_device_impl.h"

namespace openllm::device::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

/// A sum in lanes, so that compilers can keep it in vectors; its order depends on n alone.
float dot(const float* a, const float* b, std::int64_t n) {
  float sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) sums[l] += a[i + l] * b[i + l];
  }
  float sum = 0.0F;
  for (; i < n; ++i) sum += a[i] * b[i];
  for (const float lane : sums) sum += lane;
  return sum;
}

}  // namespace

void CpuDevice::disentangled_attention(const DisentangledSpec& spec, Tensor q, Tensor k, Tensor v,
                                       Tensor key_rows, Tensor query_rows, Tensor out) noexcept {
  guarded([&] {
    std::int64_t longest = 0;
    for (const step::SequenceRows& sequence : step_->sequences)
      longest = std::max<std::int64_t>(longest, sequence.n_rows);
    // For each row its scores and a head's result, since out may be q.
    const std::int64_t n = spec.head_dim;
    const std::int64_t width = longest + n;
    decay_memory_.reserve(static_cast<std::size_t>(width * q.rows) * sizeof(float));
    auto* const memory = reinterpret_cast<float*>(decay_memory_.data());
    const auto middle = static_cast<std::int64_t>(spec.buckets.size() / 2);
    const double row_ns = 0.5 * static_cast<double>(longest * q.cols);
    for (const step::SequenceRows& sequence : step_->sequences) {
      for_rows(sequence.n_rows, row_ns, [&](std::int64_t i) {
        float* const scores = memory + (sequence.first_row + i) * width;
        float* const sums = scores + longest;
        for (std::int64_t begin = 0; begin < q.cols; begin += n) {
          const float* const query = row_of(q, sequence.first_row + i) + begin;
          float best = -std::numeric_limits<float>::infinity();
          for (std::int64_t j = 0; j < sequence.n_rows; ++j) {
            const float* const key = row_of(k, sequence.first_row + j) + begin;
            const std::int32_t bucket = spec.buckets[static_cast<std::size_t>(middle + i - j)];
            float score = dot(query, key, n);
            if (key_rows.rows > 0) score += dot(query, row_of(key_rows, bucket) + begin, n);
            if (query_rows.rows > 0) score += dot(key, row_of(query_rows, bucket) + begin, n);
            scores[j] = score * spec.scale;
            best = std::max(best, scores[j]);
          }
          float total = 0.0F;
          std::fill_n(sums, n, 0.0F);
          for (std::int64_t j = 0; j < sequence.n_rows; ++j) {
            const float weight = std::exp(scores[j] - best);
            total += weight;
            kernels_.add(sums, row_of(v, sequence.first_row + j) + begin, weight, n, sums);
          }
          float* const result = row_of(out, sequence.first_row + i) + begin;
          for (std::int64_t d = 0; d < n; ++d) result[d] = sums[d] / total;
        }
      });
    }
  });
}

}  // namespace openllm::device::cpu
