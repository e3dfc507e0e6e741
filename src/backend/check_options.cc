#include "backend/check_options.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "backend/kv_budget.h"
#include "base/error.h"
#include "device/device.h"

namespace openllm::backend {
namespace {

void require_range(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return;
  base::fail_at(ErrorCode::kInvalidArgument, name, "out of range (expected ", low, " to ", high,
                ", got ", value, ")");
}

void require_not_negative(const char* name, std::int64_t value) {
  if (value >= 0) return;
  base::fail_at(ErrorCode::kInvalidArgument, name, "out of range (expected >= 0, got ", value, ")");
}

void require_device(const std::string& name) {
  if (name.empty()) return;
  std::string known;
  for (const device::DeviceEntry& entry : device::devices()) {
    if (entry.name == name) return;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  base::fail_at(ErrorCode::kInvalidArgument, "device", "no such device (expected one of ", known,
                "; got ", name, ")");
}

[[noreturn]] void refuse(std::string_view option, std::string_view why) {
  base::fail_with(ErrorCode::kUnsupported, {option, ErrorReason::kUnsupportedField}, option,
                  ": unsupported (", why, ")");
}

void require_unset(const char* option, bool is_unset, const char* backend) {
  if (!is_unset) refuse(option, base::cat("of the backend ", backend, ", which is not the one"));
}

}  // namespace

std::optional<tensor::DType> parse_dtype(std::string_view name) {
  struct Name {
    std::string_view name;
    tensor::DType type;
  };
  constexpr std::array<Name, 8> kNames{{{"f32", tensor::DType::kF32},
                                        {"float", tensor::DType::kF32},
                                        {"float32", tensor::DType::kF32},
                                        {"f16", tensor::DType::kF16},
                                        {"half", tensor::DType::kF16},
                                        {"float16", tensor::DType::kF16},
                                        {"bf16", tensor::DType::kBF16},
                                        {"bfloat16", tensor::DType::kBF16}}};
  if (name.empty() || name == "auto") return std::nullopt;
  for (const Name& known : kNames) {
    if (name == known.name) return known.type;
  }
  base::fail_at(ErrorCode::kInvalidArgument, "dtype", "unknown (expected auto, f32, f16 or bf16, ",
                "or float, float32, half, float16 or bfloat16; got ", name, ")");
}

std::optional<tensor::DType> parse_quantize(std::string_view name) {
  if (name.empty()) return std::nullopt;
  if (name == "q8" || name == "int8") return tensor::DType::kQ8_0;
  if (name == "q4" || name == "int4") return tensor::DType::kQ4_1;
  if (name == "fp8") return tensor::DType::kE4M3By32;
  refuse("quantize",
         base::cat("expected q8, q4 or fp8, or the backend vllm, which has others; models that are "
                   "quantised load without it: GGUF, and safetensors of every known scheme; got ",
                   name));
}

const std::string& name_of(const AdapterOptions& adapter) noexcept {
  static const std::string kDefault = "default";
  return adapter.name.empty() ? kDefault : adapter.name;
}

void refuse_what_only_vllm_does(const LoadOptions& options) {
  require_unset("gpu_memory_utilization", !options.gpu_memory_utilization, "vllm");
  require_unset("tensor_parallel", options.tensor_parallel == 1, "vllm");
  require_unset("vllm.args", options.vllm.args.empty(), "vllm");
  require_unset("tokenizer", options.tokenizer.empty(), "vllm");
  (void)parse_quantize(options.quantize);
}

void refuse_options_of_others(const LoadOptions& options) {
  const bool may_be_vllm =
      options.backend == "vllm" || (options.backend.empty() && !options.vllm.urls.empty());
  if (!may_be_vllm) {
    LoadOptions both;
    both.quantize = options.quantize;
    refuse_what_only_vllm_does(both);
  }
  if (!options.places.empty()) {
    const VllmOptions& vllm = options.vllm;
    const char* why = "nothing is started for places; they are in this process or run already";
    if (!vllm.urls.empty()) {
      base::fail_at(ErrorCode::kInvalidArgument, "vllm.urls",
                    "stand beside places (expected the addresses among the places)");
    }
    if (!vllm.executable.empty()) refuse("vllm.executable", why);
    if (!vllm.args.empty()) refuse("vllm.args", why);
    if (vllm.startup_timeout) refuse("vllm.startup_timeout", why);
    if (options.gpu_memory_utilization) refuse("gpu_memory_utilization", why);
    if (options.tensor_parallel != 1) refuse("tensor_parallel", why);
  }
  if (!options.backend.empty() && options.backend != "vllm") {
    refuse_what_only_vllm_does(options);
    const VllmOptions& vllm = options.vllm;
    require_unset("vllm.urls", vllm.urls.empty(), "vllm");
    require_unset("vllm.executable", vllm.executable.empty(), "vllm");
    require_unset("vllm.api_key", vllm.api_key.empty(), "vllm");
    require_unset("vllm.startup_timeout", !vllm.startup_timeout, "vllm");
  }
  const auto is_place = [&](const char* name) {
    return std::find(options.places.begin(), options.places.end(), name) != options.places.end();
  };
  if (options.backend != "pt" && !is_place("pt")) {
    require_unset("pt.python", options.pt.python.empty(), "pt");
    require_unset("pt.device", options.pt.device.empty(), "pt");
    require_unset("pt.startup_timeout", !options.pt.startup_timeout, "pt");
  }
}

void check_options(const LoadOptions& options) {
  require_range("max_step_tokens", options.max_step_tokens, 1, 1 << 16);
  require_range("max_sequences", options.max_sequences, 1, 4096);
  require_range("max_queue", options.max_queue, 1, 1 << 24);
  require_range("kv_block_size", options.kv_block_size, 1, 1024);
  require_range("n_threads", options.n_threads, 0, 1024);
  require_not_negative("max_model_len", options.max_model_len);
  require_not_negative("kv_cache_bytes", options.kv_cache_bytes);
  require_range("max_draft_tokens", options.max_draft_tokens, 0, 64);
  if (!options.draft_model.empty() && options.max_draft_tokens == 0) {
    base::fail_at(
        ErrorCode::kInvalidArgument, "draft_model",
        "stands beside max_draft_tokens 0 (expected a number of tokens to guess ahead, or "
        "no draft model)");
  }
  require_range("max_adapters", options.max_adapters, 0, 1 << 20);
  require_device(options.device);
  (void)choose_kv_type(options.kv_dtype, options.device, false);
  (void)parse_dtype(options.dtype);
  const float share = options.gpu_memory_utilization.value_or(1.0F);
  if (!(share > 0.0F && share <= 1.0F)) {
    base::fail_at(ErrorCode::kInvalidArgument, "gpu_memory_utilization",
                  "out of range (expected above 0 to 1, got ", share, ")");
  }
  require_range("tensor_parallel", options.tensor_parallel, 1, 1024);
}

}  // namespace openllm::backend
