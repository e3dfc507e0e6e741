#include <openllm/doctor.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/environment.h"
#include "cli/exit_status.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

using base::Json;

std::string size_of(std::int64_t bytes) {
  char text[32];
  const bool is_large = bytes >= std::int64_t{1} << 30U;
  std::snprintf(text, sizeof(text), "%.1f %s",
                static_cast<double>(bytes) / static_cast<double>(1 << (is_large ? 30U : 20U)),
                is_large ? "GiB" : "MiB");
  return text;
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), value < 10.0 ? "%.1f" : "%.0f", value);
  return text;
}

void line(const char* name, const std::string& value) {
  std::string padded = name;
  padded.resize(std::max<std::size_t>(padded.size(), 15), ' ');
  print(base::cat("  ", padded, " ", value, "\n"));
}

void show_machine(const MachineReport& machine) {
  print(base::cat("openllm ", version(), "\n"));
  std::string isas;
  for (const std::string& isa : machine.isas) isas += (isas.empty() ? "" : ", ") + isa;
  line("CPU", machine.cpu);
  line("kernels", base::cat(machine.isa, " (of ", isas, ")"));
  line("threads", std::to_string(machine.n_cpus));
  std::string memory =
      base::cat(size_of(machine.memory_available), " available of ", size_of(machine.memory_total));
  if (machine.memory_limit > 0)
    memory += base::cat(", limited to ", size_of(machine.memory_limit), " by control groups");
  line("memory", memory);
  line("model store", machine.store.empty()
                          ? std::string("none")
                          : base::cat(machine.store, " (", machine.n_models, " models)"));
  for (const Availability& backend : machine.backends) {
    line(("backend " + backend.name).c_str(),
         base::cat(backend.available ? "" : "absent: ", backend.reason));
  }
}

void show_speed(const ModelReport& model) {
  if (model.decode_tokens_per_s > 0.0) {
    line("predicted", base::cat(rounded(model.decode_tokens_per_s), " tokens/s for one answer, ",
                                rounded(model.prefill_tokens_per_s), " tokens/s of long prompts (",
                                rounded(model.read_gb_per_s), " GB/s of memory)"));
  }
  if (model.measured_decode_tokens_per_s) {
    line("measured",
         base::cat(rounded(*model.measured_decode_tokens_per_s), " tokens/s for one answer"));
  }
}

void show_model(const ModelReport& model) {
  print(base::cat(model.info.id, "\n"));
  line("tag", model.tag);
  line("files", base::cat(model.info.path, " (", model.info.format, ", ",
                          size_of(model.info.weight_bytes), ")"));
  line("family", model.info.architecture.empty() ? "unknown" : model.info.architecture);
  line("weights", model.info.weight_types);
  line("backend",
       model.backend.empty() ? "none" : base::cat(model.backend, " (", model.backend_reason, ")"));
  if (model.memory_bytes > 0) {
    line("memory", base::cat(size_of(model.memory_bytes), ", and up to ", size_of(model.kv_bytes),
                             " for the KV cache as it fills"));
  }
  if (model.wanted_context > 0) {
    line("context", base::cat(model.context, " of ", model.wanted_context, " tokens, which take ",
                              size_of(model.kv_bytes_of_context)));
  }
  show_speed(model);
}

void show_findings(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    print(base::cat(to_string(finding.severity), ": ", finding.about, ": ", finding.what, "\n"));
    if (!finding.fix.empty()) print(base::cat("  -> ", finding.fix, "\n"));
  }
  if (findings.empty()) print("nothing is wrong\n");
}

Json to_json(const std::vector<Availability>& list) {
  Json array = Json::array();
  for (const Availability& item : list) {
    Json entry = Json::object();
    entry["name"] = item.name;
    entry["available"] = item.available;
    entry["reason"] = item.reason;
    array.push_back(std::move(entry));
  }
  return array;
}

Json to_json(const MachineReport& machine) {
  Json json = Json::object();
  json["openllm"] = version();
  json["cpu"] = machine.cpu;
  json["isa"] = machine.isa;
  Json isas = Json::array();
  for (const std::string& isa : machine.isas) isas.push_back(isa);
  json["isas"] = std::move(isas);
  json["threads"] = machine.n_cpus;
  json["memory_total"] = machine.memory_total;
  json["memory_limit"] = machine.memory_limit > 0 ? Json(machine.memory_limit) : Json();
  json["memory_available"] = machine.memory_available;
  json["store"] = machine.store.empty() ? Json() : Json(machine.store);
  json["models"] = machine.n_models;
  json["backends"] = to_json(machine.backends);
  json["devices"] = to_json(machine.devices);
  return json;
}

Json number_or_null(double value) { return value > 0.0 ? Json(value) : Json(); }

Json to_json(const ModelReport& model) {
  Json json = Json::object();
  json["id"] = model.info.id;
  json["tag"] = model.tag;
  json["path"] = model.info.path;
  json["format"] = model.info.format;
  json["architecture"] = model.info.architecture;
  json["weight_types"] = model.info.weight_types;
  json["weight_bytes"] = model.info.weight_bytes;
  json["backend"] = model.backend.empty() ? Json() : Json(model.backend);
  json["backend_reason"] = model.backend_reason;
  json["has_chat_template"] = model.info.has_chat_template;
  json["memory_bytes"] = model.memory_bytes;
  json["bytes_per_token"] = model.bytes_per_token;
  json["kv_bytes"] = model.kv_bytes;
  json["kv_bytes_of_context"] = model.kv_bytes_of_context;
  json["context"] = model.context;
  json["wanted_context"] = model.wanted_context;
  json["read_gb_per_s"] = number_or_null(model.read_gb_per_s);
  json["decode_tokens_per_s"] = number_or_null(model.decode_tokens_per_s);
  json["prefill_tokens_per_s"] = number_or_null(model.prefill_tokens_per_s);
  json["measured_decode_tokens_per_s"] =
      number_or_null(model.measured_decode_tokens_per_s.value_or(0.0));
  return json;
}

Json to_json(const Finding& finding) {
  Json json = Json::object();
  json["severity"] = to_string(finding.severity);
  json["about"] = finding.about;
  json["what"] = finding.what;
  json["fix"] = finding.fix.empty() ? Json() : Json(finding.fix);
  return json;
}

void print_json(const Diagnosis& diagnosis, int status) {
  Json json = Json::object();
  json["status"] = status;
  json["machine"] = to_json(diagnosis.machine);
  json["model"] = diagnosis.model ? to_json(*diagnosis.model) : Json();
  Json findings = Json::array();
  for (const Finding& finding : diagnosis.findings) findings.push_back(to_json(finding));
  json["findings"] = std::move(findings);
  print(json.dump() + "\n");
}

/// The status that the first error would end a command with; 0 when there is none.
int status_of(const std::vector<Finding>& findings) {
  const bool fails = !findings.empty() && findings.front().severity == Severity::kError;
  return fails ? exit_status(findings.front().code) : 0;
}

}  // namespace

int doctor_command(const Arguments& arguments) {
  DoctorOptions options;
  options.load = arguments.load;
  options.measure = arguments.measure;
  Diagnosis diagnosis = diagnose(arguments.model, options);
  for (const std::string& sentence : unknown_variables(::environ)) {
    diagnosis.findings.push_back(
        {Severity::kWarning, "environment", sentence, "unset it, or correct its name"});
  }
  const int status = status_of(diagnosis.findings);
  if (arguments.json) {
    print_json(diagnosis, status);
    return status;
  }
  show_machine(diagnosis.machine);
  if (diagnosis.model) show_model(*diagnosis.model);
  show_findings(diagnosis.findings);
  return status;
}

}  // namespace openllm::cli
