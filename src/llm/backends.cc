#include "openllm/backends.h"

#include <utility>

#include "backend/check_options.h"
#include "backend/choose.h"
#include "backend/places/places.h"
#include "base/error.h"
#include "device/device.h"
#include "fields/field.h"
#include "llm/draft_model.h"
#include "llm/load_environment.h"
#include "llm/model_files.h"

namespace openllm {

namespace {

/// Whether this build and this machine have what the backend needs, and what it is or what lacks.
Availability availability_of(const backend::BackendEntry& entry) {
  if (!entry.available) return {entry.name, false, entry.reason};
  const std::string lacks = entry.lacks ? entry.lacks() : std::string();
  if (lacks.empty()) return {entry.name, true, entry.reason};
  return {entry.name, false, base::cat(entry.reason, "; ", lacks)};
}

void add_places(const std::vector<backend::BackendEntry>& entries,
                const format::ModelSource& source, const LoadOptions& options,
                BackendReport& report) {
  for (backend::PlaceAnswer& place : backend::ask_places(entries, source, options)) {
    report.places.push_back({std::move(place.name), !place.refusal,
                             place.refusal ? place.refusal->what() : std::move(place.what)});
  }
}

}  // namespace

std::vector<Availability> list_backends() {
  std::vector<Availability> list;
  for (const backend::BackendEntry& entry : backend::backends())
    list.push_back(availability_of(entry));
  return list;
}

BackendReport ask_backends(const std::string& model, const LoadOptions& given) {
  const llm::EffectiveOptions effective = llm::with_environment(model, given);
  LoadOptions options = effective.options;
  try {
    backend::check_options(options);
    options.ensure_available = false;
    options = llm::with_draft_path(options);
  } catch (const Error& error) {
    throw effective.blame(error);
  }
  const format::ModelSource source = llm::open_source(llm::resolve_model(
      {.model = effective.model, .ensure_available = false, .tokenizer = options.tokenizer}));
  const std::vector<backend::BackendEntry> entries = backend::backends();
  BackendReport report;
  add_places(entries, source, options, report);
  LoadOptions one = options;
  one.places.clear();
  for (const backend::Candidate& candidate : backend::ask_backends(entries, source, one)) {
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

std::vector<Availability> ask_backends_for_field(const std::string& field) {
  const fields::Field* known = fields::find(field);
  const fields::AbsentField* absent = fields::find_absent(field);
  if (known == nullptr && absent == nullptr) {
    base::fail(ErrorCode::kNotFound, field, ": there is no such field",
               fields::did_you_mean(field));
  }
  std::vector<Availability> list;
  for (const backend::BackendEntry& entry : backend::backends()) {
    Availability item{entry.name};
    const Availability backend = availability_of(entry);
    if (known == nullptr) {
      item.reason = "this version does not have that feature";
    } else if (!backend.available) {
      item.reason = backend.reason;
    } else if (entry.capabilities.honours(known->name)) {
      item.available = true;
    } else {
      item.reason = base::cat("the backend ", entry.name, " cannot do that");
    }
    list.push_back(std::move(item));
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
