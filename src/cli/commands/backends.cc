#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

base::Json to_json(const std::vector<Availability>& list) {
  base::Json array = base::Json::array();
  for (const Availability& item : list) {
    base::Json entry = base::Json::object();
    entry["name"] = item.name;
    entry["available"] = item.available;
    entry["reason"] = item.reason;
    array.push_back(std::move(entry));
  }
  return array;
}

void print_list(const char* title, const std::vector<Availability>& list) {
  print(base::cat(title, "\n"));
  std::size_t width = 10;
  for (const Availability& item : list) width = std::max(width, item.name.size());
  for (const Availability& item : list) {
    std::string name = item.name;
    name.resize(std::max(name.size(), width), ' ');
    print(base::cat("  ", name, "  ", item.available ? "yes" : "no ", "  ", item.reason, "\n"));
  }
}

}  // namespace

int backends_command(const Arguments& arguments) {
  const bool has_model = !arguments.model.empty();
  BackendReport report;
  if (has_model) report = ask_backends(arguments.model, arguments.load);
  const std::vector<Availability> backends = has_model ? report.backends : list_backends();
  const std::vector<Availability> devices = list_devices();
  if (arguments.json) {
    base::Json json = base::Json::object();
    json["backends"] = to_json(backends);
    json["devices"] = to_json(devices);
    if (has_model) {
      json["chosen"] = report.chosen.empty() ? base::Json() : base::Json(report.chosen);
      json["reason"] = report.reason;
      if (!report.places.empty()) json["places"] = to_json(report.places);
    }
    print(json.dump() + "\n");
    return 0;
  }
  print_list(has_model ? "Backends for this model:" : "Backends (--backend):", backends);
  if (has_model) {
    if (!report.places.empty()) print_list("Places (--place):", report.places);
    print(base::cat("Chosen: ", report.chosen.empty() ? "none" : report.chosen, " (", report.reason,
                    ")\n"));
  }
  print_list("Devices of the native backend (--device):", devices);
  return 0;
}

}  // namespace openllm::cli
