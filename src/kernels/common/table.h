#pragma once

// The last include of an instruction set's file: fills its table.

namespace openllm::kernels {
namespace {

constexpr Kernels make_table(const char* name) {
  return {name,         wants_by_group, quantise_row, linear,    nullptr,  nullptr,   nullptr,
          rms_norm,     layer_norm,     activate,     gate,      add_rows, scale_cap, rotate_halves,
          rotate_pairs, to_f16,         to_i8,        to_i16,    attend,   merge,     finish,
          multiply,     short_conv,     channel_scan, recurrence};
}

}  // namespace
}  // namespace openllm::kernels
