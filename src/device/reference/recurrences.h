#pragma once

#include <cstdint>

#include "device/ops.h"

namespace openllm::device {

// One row of each recurrence, and its state, which the row changes.

/// `state` [n_taps - 1, n]: the rows before. x and out may be the same.
void conv_row(const float* taps, const float* bias, std::int64_t n_taps, std::int64_t n,
              const float* x, float* state, float* out);

/// What `scan_row` reads, each [n_columns] or, of b and c, [n_numbers].
struct ScanRow {
  const float* dt;
  const float* b;
  const float* c;
  const float* x;
};
/// `state` and `rates`: [n_numbers, n_columns].
void scan_row(const float* rates, const float* skip, std::int64_t n_numbers, std::int64_t n_columns,
              const ScanRow& row, float* state, float* out);

/// One head of linear attention.
struct HeadRow {
  const float* q;
  const float* k;
  const float* v;
  const float* log_decay;
  bool decay_by_key = false;  ///< One for each row of the state; else one.
  double v_scale = 1.0;
  double skip = 0.0;
  double beta = 0.0;
};
/// `state`: [key_dim, value_dim]
void attend_row(const LinearAttentionSpec& spec, const HeadRow& row, float* state, float* out);

/// Gates, biases and rates of one row of RG-LRU, [n] each.
struct GatedRow {
  const float* x;
  const float* input_gate;
  const float* decay_gate;
  const float* input_bias;
  const float* decay_bias;
  const float* rates;
  bool is_first = false;  ///< Of its sequence.
};
/// `state` [n]; x and out may be the same.
void gated_row(const GatedRow& row, std::int64_t n, float* state, float* out);

/// `state` [3, n]: sum, weights, exponent; v and out may be the same.
void mean_row(const float* rates, const float* first, std::int64_t n, const float* k,
              const float* v, float* state, float* out);

/// log(1 + e^x)
double softplus(double x);

}  // namespace openllm::device
