#include <utility>

#include "base/error.h"
#include "device/cpu/cpu_device.h"
#include "device/device.h"
#include "device/reference/reference_device.h"

namespace openllm::device {

std::vector<DeviceEntry> devices() {
  std::vector<DeviceEntry> entries;
  entries.push_back({"cpu", true, "always available", make_cpu_device});
  entries.push_back(
      {"reference", true, "always available; slow, for checking", make_reference_device});
  return entries;
}

std::unique_ptr<Device> make_device(const std::string& name, const DeviceOptions& options) {
  std::string known;
  for (const DeviceEntry& entry : devices()) {
    if (entry.name == name && !entry.available) {
      base::fail(ErrorCode::kUnavailable, "device ", name, ": ", entry.reason);
    }
    if ((name.empty() && entry.available) || entry.name == name) return entry.make(options);
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  base::fail(ErrorCode::kNotFound, "device: no such device (expected one of ", known, "; got ",
             name, ")");
}

}  // namespace openllm::device
