#include "llm/doctor/speed.h"

#include <algorithm>
#include <vector>

#include "backend/forecast.h"
#include "base/machine_speed.h"
#include "llm/doctor/findings.h"

namespace openllm::llm {
namespace {

/// Twice what measuring the machine takes.
constexpr std::int64_t kMemoryToMeasure = std::int64_t{512} << 20U;

void set_prediction(ModelReport& model, const backend::Footprint& footprint,
                    const base::MachineSpeed& speed) {
  const backend::Forecast forecast = backend::forecast(footprint, speed);
  model.read_gb_per_s = speed.read_gb_per_s;
  model.decode_tokens_per_s = forecast.decode_tokens_per_s;
  model.prefill_tokens_per_s = forecast.prefill_tokens_per_s;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Tokens per second after the first one, behind a prompt of a few ids.
double decode_rate(const LLM& llm) {
  constexpr int kTokens = 97;
  GenerateOptions options;
  options.max_new_tokens = kTokens;
  options.temperature = 0.0F;
  options.ignore_eos = true;
  const GenerationOutput output = llm.generate(std::vector<std::int32_t>(8, 1), options);
  const double seconds = output.timing.total_s - output.timing.first_token_s.value_or(0.0);
  return static_cast<double>(output.outputs[0].token_ids.size() - 1) / std::max(seconds, 1e-9);
}

}  // namespace

void predict_speed(Diagnosis& diagnosis, const backend::Footprint& footprint, int n_threads) {
  if (diagnosis.machine.memory_available < kMemoryToMeasure) return;
  Findings(diagnosis.findings, "speed").attempt("", [&] {
    constexpr double kSecondsEach = 0.2;
    set_prediction(*diagnosis.model, footprint, base::measure_machine(n_threads, kSecondsEach));
  });
}

void measure_speed(Diagnosis& diagnosis, const backend::Footprint* footprint, int n_threads,
                   const std::string& model, const LoadOptions& load) {
  Findings(diagnosis.findings, "speed").attempt("", [&] {
    constexpr int kRounds = 5;
    LoadOptions measured = load;
    // What a model makes of a few ids repeats itself as no answer does.
    const bool is_here = load.backend == "native" ||
                         (load.backend.empty() && load.vllm.urls.empty() && load.places.empty());
    if (is_here) measured.max_draft_tokens = 0;
    const LLM llm(model, measured);
    llm.load();
    (void)decode_rate(llm);  // the first takes up memory
    std::vector<double> rates;
    std::vector<double> reads;
    std::vector<double> flops;
    std::vector<double> ops;
    for (int round = 0; round < kRounds; ++round) {
      if (footprint != nullptr) {
        const base::MachineSpeed speed = base::measure_machine(n_threads);
        reads.push_back(speed.read_gb_per_s);
        flops.push_back(speed.f32_gflop_per_s);
        ops.push_back(speed.int8_gop_per_s);
      }
      rates.push_back(decode_rate(llm));
    }
    diagnosis.model->measured_decode_tokens_per_s = median(rates);
    if (footprint != nullptr)
      set_prediction(*diagnosis.model, *footprint, {median(reads), median(flops), median(ops)});
  });
}

}  // namespace openllm::llm
