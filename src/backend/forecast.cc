#include "backend/forecast.h"

namespace openllm::backend {
namespace {

/// What a layer costs beside reading its weights: norms, attention over a short context, and
/// threads that wait for each other.
constexpr double kSecondsPerLayer = 20e-6;
/// Sampling, and the rest of a step.
constexpr double kSecondsPerLogit = 1e-9;
constexpr double kSecondsPerStep = 50e-6;
/// Share of the peak that prompts reach. Quantised weights meet activations of two planes, which
/// is twice the work that is counted.
constexpr double kQuantisedShare = 0.24;
constexpr double kPlainShare = 0.5;

}  // namespace

Forecast forecast(const Footprint& footprint, const base::MachineSpeed& speed) {
  Forecast result;
  if (speed.read_gb_per_s > 0.0) {
    const double seconds = static_cast<double>(footprint.step_bytes) / (speed.read_gb_per_s * 1e9) +
                           kSecondsPerLayer * footprint.n_layers +
                           kSecondsPerLogit * footprint.vocab_size + kSecondsPerStep;
    result.decode_tokens_per_s = 1.0 / seconds;
  }
  const bool uses_int8 = footprint.is_quantised && speed.int8_gop_per_s > 0.0;
  const double peak =
      uses_int8 ? speed.int8_gop_per_s * kQuantisedShare : speed.f32_gflop_per_s * kPlainShare;
  const double work =
      2.0 * static_cast<double>(footprint.n_parameters - footprint.n_idle_parameters -
                                footprint.n_table_parameters);
  if (work > 0.0) result.prefill_tokens_per_s = peak * 1e9 / work;
  return result;
}

}  // namespace openllm::backend
