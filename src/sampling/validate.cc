#include <cmath>

#include "base/error.h"
#include "sampling/sampler.h"

namespace openllm::sampling {
namespace {

void require(bool holds, const char* field, const char* expected, float got) {
  if (holds) return;
  base::fail_at(ErrorCode::kInvalidArgument, field, "out of range (expected ", expected, ", got ",
                got, ")");
}

}  // namespace

void validate(const SamplingParams& params, int vocab_size) {
  require(std::isfinite(params.temperature) && params.temperature >= 0.0F, "temperature",
          "a finite number >= 0", params.temperature);
  require(params.top_p >= 0.0F && params.top_p <= 1.0F, "top_p", "0 to 1", params.top_p);
  require(params.min_p >= 0.0F && params.min_p <= 1.0F, "min_p", "0 to 1", params.min_p);
  require(params.typical_p > 0.0F && params.typical_p <= 1.0F, "typical_p", "above 0 and at most 1",
          params.typical_p);
  require(params.epsilon_cutoff >= 0.0F && params.epsilon_cutoff < 1.0F, "epsilon_cutoff",
          "at least 0 and below 1", params.epsilon_cutoff);
  require(params.eta_cutoff >= 0.0F && params.eta_cutoff < 1.0F, "eta_cutoff",
          "at least 0 and below 1", params.eta_cutoff);
  require(std::isfinite(params.repetition_penalty) && params.repetition_penalty > 0.0F,
          "repetition_penalty", "a finite number > 0", params.repetition_penalty);
  require(std::isfinite(params.presence_penalty), "presence_penalty", "a finite number",
          params.presence_penalty);
  require(std::isfinite(params.frequency_penalty), "frequency_penalty", "a finite number",
          params.frequency_penalty);
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      base::fail_at(ErrorCode::kInvalidArgument, "logit_bias", "no such token (expected 0 to ",
                    vocab_size - 1, ", got ", token, ")");
    }
    require(std::isfinite(bias), "logit_bias", "finite numbers", bias);
  }
}

}  // namespace openllm::sampling
