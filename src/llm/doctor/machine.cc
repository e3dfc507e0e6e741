#include "llm/doctor/machine.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/machine_speed.h"
#include "base/system_limits.h"
#include "device/cpu/cpu_device.h"
#include "llm/doctor/findings.h"
#include "llm/llm_config.h"
#include "openllm/packed_copies.h"

namespace openllm::llm {
namespace {

namespace fs = std::filesystem;

/// Folders that imports which were killed left behind.
int count_leftovers(const std::string& root) {
  int n = 0;
  std::error_code error;
  for (auto it = fs::directory_iterator(fs::path(root) / "tmp", error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    ++n;
  }
  return n;
}

void examine_store(Diagnosis& diagnosis) {
  Findings findings(diagnosis.findings, "store");
  findings.attempt("export OPENLLM_HOME=FOLDER", [&] {
    const ModelStore store;
    diagnosis.machine.store = store.root();
    diagnosis.machine.n_models = static_cast<int>(store.list().size());
    for (const DamagedModel& model : store.damaged()) {
      const std::string name = base::cat(model.name, ":", model.version);
      findings.fail(ErrorCode::kCorruptData, base::cat(name, " is damaged (", model.reason, ")"),
                    base::cat("openllm models remove ", name));
    }
    if (const int n = count_leftovers(store.root()); n > 0) {
      findings.note(base::cat(n, " unfinished imports take up space in ", store.root(),
                              "/tmp (unless they are running)"),
                    "the next `openllm models add` removes them");
    }
  });
}

/// What loads leave beside the store.
void examine_packed_copies(Diagnosis& diagnosis) {
  Findings findings(diagnosis.findings, "store");
  findings.attempt(
      "unset OPENLLM_PACKED_COPIES, or set it to off, auto or a size such as 20G", [&] {
        const std::string described = describe_packed_copies();
        const std::vector<PackedCopy> copies = packed_copies();
        if (!copies.empty()) findings.note(described);
        std::int64_t n_bytes = 0;
        for (const PackedCopy& copy : copies) n_bytes += copy.unusable.empty() ? 0 : copy.bytes;
        if (n_bytes > 0) {
          findings.note(
              base::cat(n_bytes / 1'000'000, " MB of packed copies are of no use any more"),
              "openllm prune");
        }
      });
}

void examine_environment(Diagnosis& diagnosis) {
  Findings findings(diagnosis.findings, "environment");
  findings.attempt("unset the variable, or give it a value that `openllm fields` has",
                   [] { (void)environment_config(); });
  const char* backend = std::getenv("OPENLLM_BACKEND");
  if (backend == nullptr || *backend == '\0') return;
  const std::vector<Availability>& known = diagnosis.machine.backends;
  const auto named = std::find_if(known.begin(), known.end(),
                                  [&](const Availability& item) { return item.name == backend; });
  if (named == known.end()) {
    findings.fail(ErrorCode::kNotFound,
                  base::cat("OPENLLM_BACKEND: there is no backend ", std::string_view(backend)),
                  "unset OPENLLM_BACKEND");
  } else if (!named->available) {
    findings.fail(ErrorCode::kUnavailable,
                  base::cat("OPENLLM_BACKEND: ", named->name, ": ", named->reason),
                  "unset OPENLLM_BACKEND");
  }
}

}  // namespace

void examine_machine(Diagnosis& diagnosis, const DoctorOptions& options) {
  MachineReport& machine = diagnosis.machine;
  machine.cpu = base::cpu_name();
  machine.isas = device::cpu_isas();
  machine.isa = machine.isas.front();
  machine.n_cpus = base::available_cpus();
  machine.memory_total = base::total_memory();
  machine.memory_limit = base::memory_limit();
  machine.memory_available =
      options.memory_available > 0 ? options.memory_available : base::available_memory();
  machine.backends = list_backends();
  machine.devices = list_devices();
  examine_environment(diagnosis);
  examine_store(diagnosis);
  examine_packed_copies(diagnosis);
  if (machine.isa == "portable") {
    Findings(diagnosis.findings, "cpu")
        .warn(
            "this CPU has none of the instruction sets that there are kernels for (avx2, avx512): "
            "models run slowly");
  }
}

}  // namespace openllm::llm
