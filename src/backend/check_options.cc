#include "backend/check_options.h"

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

}  // namespace

void check_options(const LoadOptions& options) {
  require_range("max_step_tokens", options.max_step_tokens, 1, 1 << 16);
  require_range("max_sequences", options.max_sequences, 1, 4096);
  require_range("max_queue", options.max_queue, 1, 1 << 24);
  require_range("kv_block_size", options.kv_block_size, 1, 1024);
  require_range("n_threads", options.n_threads, 0, 1024);
  require_not_negative("max_model_len", options.max_model_len);
  require_not_negative("kv_cache_bytes", options.kv_cache_bytes);
  require_device(options.device);
  (void)choose_kv_type(options.kv_dtype, options.device, false);
}

}  // namespace openllm::backend
