#include "openllm/backends.h"

#include "backend/check_options.h"
#include "backend/choose.h"
#include "device/device.h"
#include "llm/model_files.h"

namespace openllm {

std::vector<Availability> list_backends() {
  std::vector<Availability> list;
  for (const backend::BackendEntry& entry : backend::backends()) {
    list.push_back({entry.name, entry.available, entry.reason});
  }
  return list;
}

BackendReport ask_backends(const std::string& model, const LoadOptions& options) {
  backend::check_options(options);
  const format::ModelSource source = llm::open_source(model);
  const std::vector<backend::BackendEntry> entries = backend::backends();
  BackendReport report;
  for (const backend::Candidate& candidate : backend::ask_backends(entries, source, options)) {
    report.backends.push_back(
        {candidate.entry.name, !candidate.refusal,
         candidate.refusal ? candidate.refusal->what() : candidate.entry.reason});
  }
  try {
    const backend::Choice choice = backend::choose_backend(entries, source, options);
    if (choice.entry) report.chosen = choice.entry->name;
    report.reason = choice.reason;
  } catch (const Error& error) {
    report.reason = error.what();
  }
  return report;
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
