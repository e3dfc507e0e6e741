// Recurrent mixers: states go from row to row of a sequence, columns and heads are independent.

#include <algorithm>
#include <cmath>

#include "device/cpu/cpu_device_impl.h"

namespace openllm::device::cpu {
namespace {

/// Columns of which a thread takes all rows of a sequence: some vectors, so that rows are read in
/// whole cache lines.
constexpr std::int64_t kColumns = 64;

/// A column's weighted sum of values, the sum of weights, and their common exponent.
struct Mean {
  float sum;
  float weight;
  float exponent;
};

/// Takes a row in; returns the mean with the row's own weight e^(k + first).
float take_row(float rate, float first, float k, float v, Mean& mean) {
  if (mean.weight == 0.0F) {  // nothing before
    mean = {v, 1.0F, k};
    return v;
  }
  const float now = k + first;
  const float top = std::max(mean.exponent, now);
  const float kept = std::exp(mean.exponent - top);
  const float own = std::exp(now - top);
  const float result = (kept * mean.sum + own * v) / (kept * mean.weight + own);
  const float next = std::max(mean.exponent + rate, k);
  const float old = std::exp(mean.exponent + rate - next);
  const float added = std::exp(k - next);
  mean = {old * mean.sum + added * v, old * mean.weight + added, next};
  return result;
}

float softplus(float x) { return std::max(x, 0.0F) + std::log1p(std::exp(-std::fabs(x))); }

}  // namespace

template <typename Body>
void CpuDevice::for_states(StateRef state, const StateShape& shape, Body body) {
  auto& cache = static_cast<CpuKvCache&>(state.cache);
  find_segments(*step_, table_of(cache, state.layer), cache.block_size(), segments_);
  const std::int64_t n_chunks = (shape.n_items + shape.per_chunk - 1) / shape.per_chunk;
  const std::int64_t stride = shape.n_items * shape.run_floats;
  team_.run(segments_.n_sequences() * static_cast<std::size_t>(n_chunks), [&](std::size_t work) {
    const std::size_t sequence = work / static_cast<std::size_t>(n_chunks);
    const auto chunk = static_cast<std::int64_t>(work % static_cast<std::size_t>(n_chunks));
    const StateRange range{chunk * shape.per_chunk,
                           std::min(shape.n_items, (chunk + 1) * shape.per_chunk)};
    const std::int64_t first = range.begin * shape.run_floats;
    const std::int64_t n = (range.end - range.begin) * shape.run_floats;
    for (std::size_t i = segments_.begin[sequence]; i < segments_.begin[sequence + 1]; ++i) {
      const StateSegment& segment = segments_.segments[i];
      float* to = cache.state(state.layer, segment.to) + state.begin;
      const float* from =
          segment.from < 0 ? nullptr : cache.state(state.layer, segment.from) + state.begin;
      for (std::int64_t r = 0; r < shape.n_runs && from != to; ++r) {
        float* run = to + r * stride + first;
        if (from == nullptr) {
          std::fill_n(run, n, 0.0F);
        } else {
          std::copy_n(from + r * stride + first, n, run);
        }
      }
      body(to, segment, range);
    }
  });
}

void CpuDevice::multiply(Tensor y, Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 0.2 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* const values = row_of(x, t);
      const float* const factors = row_of(y, t);
      if (y.cols > 1 || x.cols == 1) {
        kernels_.multiply(values, factors, x.cols);
        return;
      }
      for (std::int64_t i = 0; i < x.cols; ++i) values[i] *= factors[0];
    });
  });
}

void CpuDevice::softplus(Tensor x) noexcept {
  guarded([&] {
    for_rows(x.rows, 8.0 * static_cast<double>(x.cols), [&](std::int64_t t) {
      float* const values = row_of(x, t);
      for (std::int64_t i = 0; i < x.cols; ++i) values[i] = cpu::softplus(values[i]);
    });
  });
}

void CpuDevice::short_conv(StateRef state, const Weight& taps, const Weight* bias,
                           const Activation* act, Tensor x, Tensor out) noexcept {
  guarded([&] {
    kernels::ConvArgs args;
    args.n_taps = taps.in_features() / x.cols;
    args.n_columns = x.cols;
    args.taps = as_cpu(taps).vector();
    args.bias = vector_of(bias);
    args.has_act = act != nullptr;
    if (act != nullptr) args.act = to_act(*act);
    args.x_stride = x.stride;
    args.out_stride = out.stride;
    for_states(state, {x.cols, kColumns, args.n_taps - 1, 1},
               [&](float* rows_before, const StateSegment& segment, StateRange range) {
                 kernels::ConvArgs own = args;
                 own.state = rows_before;
                 own.x = row_of(x, segment.first_row);
                 own.out = row_of(out, segment.first_row);
                 own.n_rows = segment.n_rows;
                 kernels_.short_conv(&own, range.begin, range.end);
               });
  });
}

void CpuDevice::time_steps(const TimeStepSpec& spec, const Weight* bias, const Weight* rates,
                           Tensor dt, Tensor log_decay) noexcept {
  guarded([&] {
    const float* shifts = vector_of(bias);
    for_rows(dt.rows, 15.0 * static_cast<double>(dt.cols), [&](std::int64_t t) {
      float* steps = row_of(dt, t);
      for (std::int64_t i = 0; i < dt.cols; ++i) {
        const float x = shifts == nullptr ? steps[i] : steps[i] + shifts[i];
        steps[i] = std::clamp(cpu::softplus(x), spec.min, spec.max);
      }
      if (log_decay.cols == 0) return;
      const float* factors = as_cpu(*rates).vector();
      const std::int64_t n = log_decay.cols / rates->in_features();
      const bool is_by_column = dt.cols == log_decay.cols;
      float* decays = row_of(log_decay, t);
      for (std::int64_t i = 0; i < log_decay.cols; ++i)
        decays[i] = factors[i / n] * steps[is_by_column ? i : i / n];
    });
  });
}

void CpuDevice::channel_scan(StateRef state, const Weight& rates, const Weight& skip, Tensor dt,
                             Tensor b, Tensor c, Tensor x, Tensor out) noexcept {
  guarded([&] {
    kernels::ScanArgs args;
    args.n_numbers = b.cols;
    args.n_columns = x.cols;
    args.rates = as_cpu(rates).vector();
    args.skip = as_cpu(skip).vector();
    args.dt_stride = dt.stride;
    args.b_stride = b.stride;
    args.c_stride = c.stride;
    args.x_stride = x.stride;
    args.out_stride = out.stride;
    for_states(state, {x.cols, kColumns, b.cols, 1},
               [&](float* h, const StateSegment& segment, StateRange range) {
                 kernels::ScanArgs own = args;
                 own.state = h;
                 own.dt = row_of(dt, segment.first_row);
                 own.b = row_of(b, segment.first_row);
                 own.c = row_of(c, segment.first_row);
                 own.x = row_of(x, segment.first_row);
                 own.out = row_of(out, segment.first_row);
                 own.n_rows = segment.n_rows;
                 kernels_.channel_scan(&own, range.begin, range.end);
               });
  });
}

void CpuDevice::gated_scan(StateRef state, const GatedScanRows& rows, Tensor out) noexcept {
  guarded([&] {
    const float* const input_bias = vector_of(rows.input_bias);
    const float* const decay_bias = vector_of(rows.decay_bias);
    const float* const rates = vector_of(rows.rates);
    const auto sigmoid = [](float x) { return 1.0F / (1.0F + std::exp(-x)); };
    for_states(state, {out.cols, kColumns, 1, 1},
               [&](float* h, const StateSegment& segment, StateRange range) {
                 for (std::int64_t t = segment.first_row; t < segment.first_row + segment.n_rows;
                      ++t) {
                   const bool is_first = step_->positions[static_cast<std::size_t>(t)] == 0;
                   for (std::int64_t i = range.begin; i < range.end; ++i) {
                     const float input = sigmoid(row_of(rows.input_gate, t)[i] + input_bias[i]);
                     const float log_decay =
                         rates[i] * sigmoid(row_of(rows.decay_gate, t)[i] + decay_bias[i]);
                     const float root = is_first ? 1.0F : std::sqrt(-std::expm1(2.0F * log_decay));
                     h[i] = std::exp(log_decay) * h[i] + root * input * row_of(rows.x, t)[i];
                     row_of(out, t)[i] = h[i];
                   }
                 }
               });
  });
}

void CpuDevice::decaying_mean(StateRef state, const Weight& rates, const Weight& first, Tensor k,
                              Tensor v, Tensor out) noexcept {
  guarded([&] {
    const float* const decays = vector_of(&rates);
    const float* const own = vector_of(&first);
    const std::int64_t n = out.cols;
    for_states(state, {n, kColumns, 3, 1},
               [&](float* means, const StateSegment& segment, StateRange range) {
                 for (std::int64_t t = segment.first_row; t < segment.first_row + segment.n_rows;
                      ++t) {
                   for (std::int64_t i = range.begin; i < range.end; ++i) {
                     Mean mean{means[i], means[n + i], means[2 * n + i]};
                     row_of(out, t)[i] =
                         take_row(decays[i], own[i], row_of(k, t)[i], row_of(v, t)[i], mean);
                     means[i] = mean.sum;
                     means[n + i] = mean.weight;
                     means[2 * n + i] = mean.exponent;
                   }
                 }
               });
  });
}

void CpuDevice::linear_attention(const LinearAttentionSpec& spec, StateRef state,
                                 const LinearAttentionRows& rows, Tensor out) noexcept {
  guarded([&] {
    const float* const fixed = vector_of(rows.fixed_log_decay);
    const std::int64_t n_decays = fixed != nullptr ? spec.n_heads : rows.log_decay.cols;
    const std::int64_t n_betas = spec.delta ? spec.n_heads : 0;
    const std::int64_t width = n_decays + n_betas;
    decay_memory_.reserve(static_cast<std::size_t>(width * out.rows) * sizeof(float));
    auto* const memory = reinterpret_cast<float*>(decay_memory_.data());
    for_rows(out.rows, 5.0 * static_cast<double>(width), [&](std::int64_t t) {
      float* decays = memory + t * width;
      const float* const logs = fixed != nullptr ? fixed : row_of(rows.log_decay, t);
      for (std::int64_t i = 0; i < n_decays; ++i) decays[i] = std::exp(logs[i]);
      for (std::int64_t h = 0; h < n_betas; ++h) {
        decays[n_decays + h] = spec.beta_scale / (1.0F + std::exp(-row_of(rows.beta, t)[h]));
      }
    });
    const bool by_key = n_decays > spec.n_heads;
    const std::int64_t n_state = std::int64_t{spec.key_dim} * spec.value_dim;
    kernels::RecurrenceArgs args;
    args.key_dim = spec.key_dim;
    args.value_dim = spec.value_dim;
    args.delta = spec.delta;
    args.decay_by_key = by_key;
    args.q_stride = rows.q.stride;
    args.k_stride = rows.k.stride;
    args.v_stride = rows.v.stride;
    args.decay_stride = width;
    args.v_scale_stride = rows.v_scale.stride;
    args.out_stride = out.stride;
    for_states(state, {spec.n_heads, 1, 1, n_state},
               [&](float* states, const StateSegment& segment, StateRange range) {
                 const std::int64_t h = range.begin;
                 const std::int64_t key_head = h / (spec.n_heads / spec.n_key_heads);
                 const std::int64_t t = segment.first_row;
                 kernels::RecurrenceArgs own = args;
                 own.state = states + h * n_state;
                 own.q = row_of(rows.q, t) + key_head * spec.key_dim;
                 own.k = row_of(rows.k, t) + key_head * spec.key_dim;
                 own.v = row_of(rows.v, t) + h * spec.value_dim;
                 own.decay = memory + t * width + (by_key ? h * spec.key_dim : h);
                 own.beta = memory + t * width + n_decays + h;
                 own.v_scale = rows.v_scale.data == nullptr ? nullptr : row_of(rows.v_scale, t) + h;
                 own.skip = rows.skip == nullptr ? 0.0F : vector_of(rows.skip)[h];
                 own.out = row_of(out, t) + h * spec.value_dim;
                 own.n_rows = segment.n_rows;
                 kernels_.recurrence(&own);
               });
  });
}

}  // namespace openllm::device::cpu
