#include <cstdlib>

#include "backend/backend.h"
#include "backend/native.h"
#include "base/error.h"

namespace openllm::backend {

std::vector<BackendEntry> backends() {
  return {
      {"vllm", false, "this build has no vLLM backend", nullptr},
      {"native", true, "the engine of this library", load_native},
      {"pt", false, "this build has no PyTorch backend", nullptr},
  };
}

namespace {

std::string known_names() {
  std::string names;
  for (const BackendEntry& entry : backends()) names += (names.empty() ? "" : ", ") + entry.name;
  return names;
}

BackendEntry require_backend(const std::string& name, const char* source) {
  for (BackendEntry& entry : backends()) {
    if (entry.name != name) continue;
    if (!entry.available)
      base::fail(ErrorCode::kUnavailable, source, ": backend ", name, ": ", entry.reason);
    return entry;
  }
  base::fail(ErrorCode::kNotFound, source, ": unknown backend (expected one of ", known_names(),
             "; got ", name, ")");
}

}  // namespace

Choice choose_backend(const std::string& requested) {
  if (!requested.empty()) return {require_backend(requested, "backend"), "asked for by name"};
  const char* from_environment = std::getenv("OPENLLM_BACKEND");
  if (from_environment != nullptr && *from_environment != '\0') {
    return {require_backend(from_environment, "OPENLLM_BACKEND"),
            "set by the environment variable OPENLLM_BACKEND"};
  }
  std::string skipped;
  for (BackendEntry& entry : backends()) {
    if (entry.available) return {entry, base::cat("the first available one", skipped)};
    skipped += base::cat("; ", entry.name, " skipped: ", entry.reason);
  }
  base::fail(ErrorCode::kInternal, "backend: none available", skipped);
}

int resolve_max_model_len(const LoadOptions& options, int model_limit) {
  if (options.max_model_len < 0) {
    base::fail(ErrorCode::kInvalidArgument, "max_model_len: out of range (expected >= 0, got ",
               options.max_model_len, ")");
  }
  if (options.max_model_len > model_limit) {
    base::fail(ErrorCode::kInvalidArgument,
               "max_model_len: more than the model was made for (expected at most ", model_limit,
               ", got ", options.max_model_len, ")");
  }
  return options.max_model_len == 0 ? model_limit : options.max_model_len;
}

}  // namespace openllm::backend
