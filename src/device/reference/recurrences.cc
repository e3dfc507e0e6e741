#include "device/reference/recurrences.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace openllm::device {
namespace {

double wide(float x) { return static_cast<double>(x); }

}  // namespace

void conv_row(const float* taps, const float* bias, std::int64_t n_taps, std::int64_t n,
              const float* x, float* state, float* out) {
  for (std::int64_t c = 0; c < n; ++c) {
    const float last = x[c];
    double sum = bias == nullptr ? 0.0 : wide(bias[c]);
    for (std::int64_t j = 0; j + 1 < n_taps; ++j) {
      sum += wide(taps[j * n + c]) * wide(state[j * n + c]);
      state[j * n + c] = j + 2 < n_taps ? state[(j + 1) * n + c] : last;
    }
    out[c] = static_cast<float>(sum + wide(taps[(n_taps - 1) * n + c]) * wide(last));
  }
}

void scan_row(const float* rates, const float* skip, std::int64_t n_numbers, std::int64_t n_columns,
              const ScanRow& row, float* state, float* out) {
  for (std::int64_t i = 0; i < n_columns; ++i) {
    const double dt = wide(row.dt[i]);
    const double x = wide(row.x[i]);
    double sum = wide(skip[i]) * x;
    for (std::int64_t j = 0; j < n_numbers; ++j) {
      float& h = state[j * n_columns + i];
      h = static_cast<float>(std::exp(wide(rates[j * n_columns + i]) * dt) * wide(h) +
                             dt * x * wide(row.b[j]));
      sum += wide(h) * wide(row.c[j]);
    }
    out[i] = static_cast<float>(sum);
  }
}

void attend_row(const LinearAttentionSpec& spec, const HeadRow& row, float* state, float* out) {
  const auto n_keys = static_cast<std::size_t>(spec.key_dim);
  const auto n_values = static_cast<std::size_t>(spec.value_dim);
  for (std::size_t i = 0; i < n_keys; ++i) {
    const double decay = std::exp(wide(row.log_decay[row.decay_by_key ? i : 0]));
    for (std::size_t d = 0; d < n_values; ++d)
      state[i * n_values + d] = static_cast<float>(decay * wide(state[i * n_values + d]));
  }
  std::vector<double> change(n_values);
  for (std::size_t d = 0; d < n_values; ++d) {
    double value = wide(row.v[d]) * row.v_scale;
    if (spec.delta) {
      for (std::size_t i = 0; i < n_keys; ++i)
        value -= wide(state[i * n_values + d]) * wide(row.k[i]);
      value *= row.beta;
    }
    change[d] = value;
  }
  for (std::size_t d = 0; d < n_values; ++d) {
    double sum = row.skip * wide(row.v[d]);
    for (std::size_t i = 0; i < n_keys; ++i) {
      float& s = state[i * n_values + d];
      s = static_cast<float>(wide(s) + wide(row.k[i]) * change[d]);
      sum += wide(s) * wide(row.q[i]);
    }
    out[d] = static_cast<float>(sum);
  }
}

void gated_row(const GatedRow& row, std::int64_t n, float* state, float* out) {
  const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  for (std::int64_t i = 0; i < n; ++i) {
    const double input = sigmoid(wide(row.input_gate[i]) + wide(row.input_bias[i]));
    const double open = sigmoid(wide(row.decay_gate[i]) + wide(row.decay_bias[i]));
    const double log_decay = wide(row.rates[i]) * open;
    const double root = row.is_first ? 1.0 : std::sqrt(-std::expm1(2.0 * log_decay));
    state[i] =
        static_cast<float>(std::exp(log_decay) * wide(state[i]) + root * input * wide(row.x[i]));
    out[i] = state[i];
  }
}

void mean_row(const float* rates, const float* first, std::int64_t n, const float* k,
              const float* v, float* state, float* out) {
  float* const sums = state;
  float* const weights = state + n;
  float* const exponents = state + 2 * n;
  for (std::int64_t i = 0; i < n; ++i) {
    const double key = wide(k[i]);
    const double value = wide(v[i]);
    // Nothing before: no exponent to be relative to.
    const bool is_empty = weights[i] == 0.0F;
    const double now = key + wide(first[i]);
    const double top = is_empty ? now : std::max(wide(exponents[i]), now);
    const double kept = is_empty ? 0.0 : std::exp(wide(exponents[i]) - top);
    const double own = std::exp(now - top);
    out[i] =
        static_cast<float>((kept * wide(sums[i]) + own * value) / (kept * wide(weights[i]) + own));
    const double decayed = wide(exponents[i]) + wide(rates[i]);
    const double next = is_empty ? key : std::max(decayed, key);
    const double old = is_empty ? 0.0 : std::exp(decayed - next);
    const double added = std::exp(key - next);
    sums[i] = static_cast<float>(old * wide(sums[i]) + added * value);
    weights[i] = static_cast<float>(old * wide(weights[i]) + added);
    exponents[i] = static_cast<float>(next);
  }
}

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

}  // namespace openllm::device
