#include "device/reference/whole_sequences.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace openllm::device {
namespace {

float* row(const Tensor& x, std::int64_t t) { return static_cast<float*>(x.data) + t * x.stride; }

double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace

void shift_rows(const step::Step& step, int offset, Tensor x, Tensor out) {
  for (const step::SequenceRows& sequence : step.sequences) {
    for (std::int64_t i = 0; i < sequence.n_rows; ++i) {
      const std::int64_t from = i + offset;
      float* const to = row(out, sequence.first_row + i);
      if (from < 0 || from >= sequence.n_rows) {
        std::fill_n(to, x.cols, 0.0F);
      } else {
        std::copy_n(row(x, sequence.first_row + from), x.cols, to);
      }
    }
  }
}

void attend_disentangled(const DisentangledSpec& spec, const step::SequenceRows& sequence,
                         RowHead at, const DisentangledRows& rows, Tensor out) {
  const std::int64_t n = spec.head_dim;
  const std::int64_t begin = at.head * n;
  const auto middle = static_cast<std::int64_t>(spec.buckets.size() / 2);
  const float* const query = row(rows.q, sequence.first_row + at.row) + begin;
  std::vector<double> scores;
  for (std::int64_t j = 0; j < sequence.n_rows; ++j) {
    const float* const key = row(rows.k, sequence.first_row + j) + begin;
    const std::int32_t bucket = spec.buckets[static_cast<std::size_t>(middle + at.row - j)];
    double score = dot(query, key, n);
    if (rows.key_rows.rows > 0) score += dot(query, row(rows.key_rows, bucket) + begin, n);
    if (rows.query_rows.rows > 0) score += dot(key, row(rows.query_rows, bucket) + begin, n);
    scores.push_back(score * static_cast<double>(spec.scale));
  }
  const double best = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  std::vector<double> sums(static_cast<std::size_t>(n), 0.0);
  for (std::int64_t j = 0; j < sequence.n_rows; ++j) {
    const double weight = std::exp(scores[static_cast<std::size_t>(j)] - best);
    total += weight;
    const float* const value = row(rows.v, sequence.first_row + j) + begin;
    for (std::int64_t d = 0; d < n; ++d)
      sums[static_cast<std::size_t>(d)] += weight * static_cast<double>(value[d]);
  }
  float* const result = row(out, sequence.first_row + at.row) + begin;
  for (std::int64_t d = 0; d < n; ++d)
    result[d] = static_cast<float>(sums[static_cast<std::size_t>(d)] / total);
}

}  // namespace openllm::device
