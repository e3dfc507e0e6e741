#include "openllm/doctor.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "backend/choose.h"
#include "backend/native.h"
#include "base/error.h"
#include "llm/doctor/findings.h"
#include "llm/doctor/machine.h"
#include "llm/doctor/memory.h"
#include "llm/doctor/speed.h"
#include "llm/doctor/text.h"
#include "llm/draft_model.h"
#include "llm/local_model.h"
#include "store/names.h"

namespace openllm {
namespace {

using llm::Findings;

/// The backend that the model gets, or why there is none.
void examine_backend(Diagnosis& diagnosis, const format::ModelSource& source,
                     const LoadOptions& load) {
  Findings findings(diagnosis.findings, "backend");
  ModelReport& model = *diagnosis.model;
  const bool is_named = !load.backend.empty() || !load.device.empty();
  const std::string fix = is_named ? "`openllm backends` lists them" : "";
  findings.attempt(fix, [&] {
    const backend::Choice choice = backend::choose_backend(backend::backends(), source, load);
    model.backend_reason = choice.reason;
    if (choice.entry) {
      model.backend = choice.entry->name;
    } else {
      findings.fail(choice.code, choice.reason, "docs/models.md lists the families that run");
    }
  });
  model.tag = base::cat(model.backend.empty() ? "none" : model.backend, "-",
                        store::name_in_tag(source.id), ":", source.version);
}

/// What the native backend makes of it; its memory is examined too. Nothing when it cannot be
/// loaded.
std::optional<backend::Footprint> examine_native(Diagnosis& diagnosis,
                                                 const format::ModelSource& source,
                                                 const LoadOptions& load) {
  std::optional<backend::Footprint> footprint;
  Findings(diagnosis.findings, "files").attempt("", [&] {
    footprint = backend::native_footprint(source, load);
    llm::examine_memory(diagnosis, *footprint, load);
  });
  return footprint;
}

/// The reference device is not meant to be fast: nothing is predicted for it.
void examine_speed(Diagnosis& diagnosis, const backend::Footprint* footprint,
                   const std::string& name, const DoctorOptions& options) {
  const LoadOptions& load = options.load;
  const int n_threads = load.n_threads > 0 ? load.n_threads : diagnosis.machine.n_cpus;
  if (load.device == "reference") footprint = nullptr;
  if (options.measure) {
    llm::measure_speed(diagnosis, footprint, n_threads, name, load);
  } else if (options.predict && footprint != nullptr) {
    llm::predict_speed(diagnosis, *footprint, n_threads);
  }
}

/// Whether LoadOptions::draft_model can guess for the model; its path takes the place of its name.
bool examine_draft(Diagnosis& diagnosis, llm::LocalModel& model, LoadOptions& load) {
  return Findings(diagnosis.findings, "draft_model").attempt("", [&] {
    const auto draft = llm::find_draft(load);
    load = llm::with_draft_path(load);
    const auto tokens = model.tokenizer();
    if (draft && tokens != nullptr)
      llm::require_same_tokens(tokens.get(), 0, *draft, 0, load.tokenizer_pre);
  });
}

void examine_model(Diagnosis& diagnosis, const std::string& name, DoctorOptions options) {
  std::unique_ptr<llm::LocalModel> model;
  const bool opens = Findings(diagnosis.findings, "files").attempt("", [&] {
    model = std::make_unique<llm::LocalModel>(name, options.load);
  });
  if (!opens) return;
  diagnosis.model.emplace();
  diagnosis.model->info = llm::describe_files(model->source());
  if (!options.load.draft_model.empty() && !examine_draft(diagnosis, *model, options.load)) return;
  examine_backend(diagnosis, model->source(), options.load);
  const std::string& chosen = diagnosis.model->backend;
  std::optional<backend::Footprint> footprint;
  if (chosen == "native") footprint = examine_native(diagnosis, model->source(), options.load);
  llm::examine_text(diagnosis, *model, footprint ? footprint->vocab_size : 0);
  diagnosis.model->info.has_chat_template = model->has_chat_template();
  const bool loads = !chosen.empty() && (chosen != "native" || footprint);
  if (loads) examine_speed(diagnosis, footprint ? &*footprint : nullptr, name, options);
}

}  // namespace

const char* to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

Diagnosis diagnose(const std::string& model, const DoctorOptions& options) {
  Diagnosis diagnosis;
  llm::examine_machine(diagnosis, options);
  if (!model.empty() || !options.load.model_tag.empty()) examine_model(diagnosis, model, options);
  std::stable_sort(diagnosis.findings.begin(), diagnosis.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  return diagnosis;
}

}  // namespace openllm
