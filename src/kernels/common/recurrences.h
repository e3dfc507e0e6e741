#pragma once

// Recurrences over the rows of a sequence: lanes are columns, rows come one after the other, and a
// sum over a state goes in the order of its numbers.

namespace openllm::kernels {
namespace {

void multiply(float* x, const float* y, std::int64_t n) {
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    store_some(x + i, mul(load_some(x + i, m), load_some(y + i, m)), m);
  });
}

void short_conv(const ConvArgs* args, std::int64_t begin, std::int64_t end) {
  const ConvArgs& a = *args;
  const std::int64_t n = a.n_columns;
  for_lanes(end - begin, [&](std::int64_t i, std::int64_t m) {
    const std::int64_t c = begin + i;
    float* state = a.state + c;
    for (std::int64_t t = 0; t < a.n_rows; ++t) {
      const VF last = load_some(a.x + t * a.x_stride + c, m);
      VF sum = a.bias == nullptr ? zero() : load_some(a.bias + c, m);
      for (std::int64_t j = 0; j + 1 < a.n_taps; ++j) {
        sum = fma(load_some(a.taps + j * n + c, m), load_some(state + j * n, m), sum);
        store_some(state + j * n, j + 2 < a.n_taps ? load_some(state + (j + 1) * n, m) : last, m);
      }
      sum = fma(load_some(a.taps + (a.n_taps - 1) * n + c, m), last, sum);
      store_some(a.out + t * a.out_stride + c, a.has_act ? apply(a.act, sum) : sum, m);
    }
  });
}

void channel_scan(const ScanArgs* args, std::int64_t begin, std::int64_t end) {
  const ScanArgs& a = *args;
  for_lanes(end - begin, [&](std::int64_t i, std::int64_t m) {
    const std::int64_t column = begin + i;
    for (std::int64_t t = 0; t < a.n_rows; ++t) {
      const float* b = a.b + t * a.b_stride;
      const float* c = a.c + t * a.c_stride;
      const VF dt = load_some(a.dt + t * a.dt_stride + column, m);
      const VF x = load_some(a.x + t * a.x_stride + column, m);
      const VF u = mul(dt, x);
      VF sum = mul(load_some(a.skip + column, m), x);
      for (std::int64_t j = 0; j < a.n_numbers; ++j) {
        const std::int64_t at = j * a.n_columns + column;
        const VF decay = exp(mul(load_some(a.rates + at, m), dt));
        const VF h = fma(decay, load_some(a.state + at, m), mul(u, splat(b[j])));
        store_some(a.state + at, h, m);
        sum = fma(h, splat(c[j]), sum);
      }
      store_some(a.out + t * a.out_stride + column, sum, m);
    }
  });
}

/// `m` columns of a head, one row.
OPENLLM_INLINE void recur_row(const RecurrenceArgs& a, std::int64_t t, std::int64_t column,
                              std::int64_t m) {
  const float* q = a.q + t * a.q_stride;
  const float* k = a.k + t * a.k_stride;
  const float* decay = a.decay + t * a.decay_stride;
  float* state = a.state + column;
  const std::int64_t n = a.value_dim;
  VF u = load_some(a.v + t * a.v_stride + column, m);
  VF sum = mul(splat(a.skip), u);
  if (a.v_scale != nullptr) u = mul(u, splat(a.v_scale[t * a.v_scale_stride]));
  if (a.delta) {
    VF known = zero();
    for (std::int64_t i = 0; i < a.key_dim; ++i) {
      const VF s = mul(load_some(state + i * n, m), splat(decay[a.decay_by_key ? i : 0]));
      store_some(state + i * n, s, m);
      known = fma(s, splat(k[i]), known);
    }
    u = mul(sub(u, known), splat(a.beta[t * a.decay_stride]));
    for (std::int64_t i = 0; i < a.key_dim; ++i) {
      const VF s = fma(u, splat(k[i]), load_some(state + i * n, m));
      store_some(state + i * n, s, m);
      sum = fma(s, splat(q[i]), sum);
    }
  } else {
    for (std::int64_t i = 0; i < a.key_dim; ++i) {
      const VF kept = mul(load_some(state + i * n, m), splat(decay[a.decay_by_key ? i : 0]));
      const VF s = fma(u, splat(k[i]), kept);
      store_some(state + i * n, s, m);
      sum = fma(s, splat(q[i]), sum);
    }
  }
  store_some(a.out + t * a.out_stride + column, sum, m);
}

void recurrence(const RecurrenceArgs* args) {
  for_lanes(args->value_dim, [&](std::int64_t i, std::int64_t m) {
    for (std::int64_t t = 0; t < args->n_rows; ++t) recur_row(*args, t, i, m);
  });
}

}  // namespace
}  // namespace openllm::kernels
