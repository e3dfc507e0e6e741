#pragma once

#include <string>

namespace openllm::base {

/// What the machine can do right now, with `n_threads` threads. Machines are shared: measure
/// beside every run.
struct MachineSpeed {
  double read_gb_per_s = 0.0;    ///< Reading memory that fits no cache.
  double f32_gflop_per_s = 0.0;  ///< Fused multiply-adds, 2 operations each; 0 where not known.
  double int8_gop_per_s = 0.0;   ///< VNNI dot products; 0 where the CPU has none.
};

/// About `seconds` for each of the figures; takes 256 MiB of memory meanwhile. Throws
/// kResourceExhausted.
MachineSpeed measure_machine(int n_threads, double seconds = 0.1);
/// What the narrow products of some CPUs do, beside MachineSpeed's; 0 where the CPU has none, or
/// the system does not let programs use its tiles (AMX).
struct NarrowPeaks {
  double bf16_gflop_per_s = 0.0;        ///< Pairs of BF16 (AVX512_BF16).
  double int8_tiles_gop_per_s = 0.0;    ///< AMX.
  double bf16_tiles_gflop_per_s = 0.0;  ///< AMX.
};

/// About `seconds` for each of the figures.
NarrowPeaks measure_narrow_peaks(int n_threads, double seconds = 0.1);
/// The CPU's name from /proc/cpuinfo; "unknown" where that has none.
std::string cpu_name();

}  // namespace openllm::base
