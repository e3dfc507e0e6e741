#include "llm/doctor/memory.h"

#include "backend/kv_budget.h"
#include "base/error.h"
#include "llm/doctor/findings.h"

namespace openllm::llm {
namespace {

std::string mib(std::int64_t bytes) {
  constexpr std::int64_t kMiB = std::int64_t{1} << 20U;
  return base::cat((bytes + kMiB - 1) / kMiB, " MiB");
}

}  // namespace

void examine_memory(Diagnosis& diagnosis, const backend::Footprint& footprint,
                    const LoadOptions& load) {
  Findings findings(diagnosis.findings, "memory");
  ModelReport& model = *diagnosis.model;
  const std::int64_t available = diagnosis.machine.memory_available;
  const std::int64_t left = available - footprint.memory_bytes;
  model.memory_bytes = footprint.memory_bytes;
  model.bytes_per_token = footprint.step_bytes;
  model.wanted_context = footprint.max_model_len;
  model.kv_bytes_of_context =
      backend::kv_bytes_of_sequence(footprint.kv_groups, load, footprint.max_model_len);
  if (left <= 0) {
    findings.fail(ErrorCode::kResourceExhausted,
                  base::cat("the weights take ", mib(footprint.memory_bytes), ", and there are ",
                            mib(available)),
                  "take a smaller file of the model, or raise the limit (`ulimit -v`, the "
                  "container's memory)");
    return;
  }
  backend::KvBudget budget;
  const bool fits = findings.attempt("--kv-cache-bytes 0, or a smaller --kv-block-size", [&] {
    budget = backend::plan_kv_budget(footprint.kv_groups, load, footprint.max_model_len, left);
  });
  if (!fits) return;
  model.context = budget.max_model_len;
  model.kv_bytes = backend::kv_bytes_of(footprint.kv_groups, budget);
  if (model.kv_bytes > left) {
    findings.fail(
        ErrorCode::kResourceExhausted,
        base::cat("weights and KV cache take up to ", mib(footprint.memory_bytes + model.kv_bytes),
                  ", and there are ", mib(available)),
        base::cat("--kv-cache-bytes ", left / 3));
  } else if (model.context < model.wanted_context) {
    findings.warn(
        base::cat("the KV cache holds ", model.context, " tokens, fewer than the context of ",
                  model.wanted_context, ", which takes ", mib(model.kv_bytes_of_context)),
        base::cat("--max-model-len ", model.context,
                  " accepts that; --kv-dtype int8 or "
                  "--kv-cache-bytes makes room"));
  }
}

}  // namespace openllm::llm
