#include "openllm/backends.h"

#include "backend/backend.h"
#include "base/error.h"
#include "device/device.h"

namespace openllm {

std::vector<Availability> list_backends() {
  std::vector<Availability> list;
  for (const backend::BackendEntry& entry : backend::backends()) {
    list.push_back({entry.name, entry.available, entry.reason});
  }
  return list;
}

std::vector<Availability> list_devices() {
  std::vector<Availability> list;
  for (const device::DeviceEntry& entry : device::devices()) {
    Availability item{entry.name, entry.available, entry.reason};
    if (entry.available) item.reason += "; kernels: " + entry.make({.n_threads = 1})->isa();
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace openllm
