#include <algorithm>
#include <ctime>
#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/check_model.h"
#include "cli/commands/commands.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::size_t kShownDigits = 12;

/// Which backends would run a model, or why none would.
struct Runners {
  std::vector<std::string> names{};
  std::string reason{};
};

Runners runners_of(const StoredModel& model) {
  Runners runners;
  // A path, whatever else has its name.
  const std::string path = model.path.starts_with('/') ? model.path : "./" + model.path;
  try {
    const BackendReport report = ask_backends(path);
    for (const Availability& backend : report.backends) {
      if (backend.available) runners.names.push_back(backend.name);
    }
    if (runners.names.empty()) runners.reason = report.reason;
  } catch (const Error& error) {
    runners.reason = error.what();
  }
  return runners;
}

base::Json to_json(const StoredModel& model) {
  const Runners runners = runners_of(model);
  base::Json backends = base::Json::array();
  for (const std::string& name : runners.names) backends.push_back(name);
  base::Json entry = base::Json::object();
  entry["name"] = model.name;
  entry["version"] = model.version;
  entry["format"] = model.format;
  entry["bytes"] = model.bytes;
  entry["path"] = model.path;
  entry["origin"] = model.origin;
  entry["last_used"] = model.used_ns / kNanoseconds;
  entry["backends"] = std::move(backends);
  entry["reason"] = runners.reason.empty() ? base::Json() : base::Json(runners.reason);
  entry["partial"] = false;
  return entry;
}

base::Json to_json(const PartialModel& model) {
  base::Json entry = base::Json::object();
  entry["name"] = model.id;
  entry["version"] = model.commit.empty() ? base::Json() : base::Json(model.commit);
  entry["format"] = base::Json();
  entry["bytes"] = model.bytes;
  entry["path"] = base::Json();
  entry["origin"] = "hub";
  entry["last_used"] = base::Json();
  entry["backends"] = base::Json::array();
  entry["reason"] = model.reason;
  entry["partial"] = true;
  return entry;
}

std::string day_of(std::int64_t since_1970_ns) {
  const std::time_t time = since_1970_ns / kNanoseconds;
  std::tm local{};
  char text[16];
  if (::localtime_r(&time, &local) == nullptr ||
      std::strftime(text, sizeof(text), "%Y-%m-%d", &local) == 0)
    return "-";
  return text;
}

std::vector<std::string> row_of(const StoredModel& model) {
  std::string names;
  for (const std::string& name : runners_of(model).names)
    names += (names.empty() ? "" : ",") + name;
  return {model.name,
          model.version.substr(0, kShownDigits),
          model.format,
          model.origin,
          readable_size(model.bytes),
          day_of(model.used_ns),
          names.empty() ? "none" : names};
}

std::vector<std::string> row_of(const PartialModel& model) {
  return {model.id,
          model.commit.empty() ? "-" : model.commit.substr(0, kShownDigits),
          "partial",
          "hub",
          readable_size(model.bytes),
          "-",
          model.reason};
}

std::vector<PartialModel> partial_models() {
  try {
    return Hub().partial();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;  // nothing says where the cache is
    return {};
  }
}

/// As --sort has it; they come sorted by name.
void sort(std::vector<StoredModel>& models, const std::string& order) {
  using Before = std::function<bool(const StoredModel&, const StoredModel&)>;
  Before before;
  if (order == "size") before = [](const auto& a, const auto& b) { return a.bytes > b.bytes; };
  if (order == "used") before = [](const auto& a, const auto& b) { return a.used_ns > b.used_ns; };
  if (order == "origin") before = [](const auto& a, const auto& b) { return a.origin < b.origin; };
  if (before) std::stable_sort(models.begin(), models.end(), before);
}

void tell_damaged(const ModelStore& store) {
  for (const DamagedModel& model : store.damaged()) {
    note(base::cat("openllm: ", model.name, ":", model.version, " is damaged (", model.reason,
                   "); `openllm models remove ", model.name, ":", model.version, "` deletes it\n"));
  }
}

}  // namespace

int models_command(const Arguments& arguments) {
  const ModelStore store;
  tell_damaged(store);
  std::vector<StoredModel> models = list_models();
  sort(models, arguments.sort);
  const std::vector<PartialModel> partial =
      arguments.all ? partial_models() : std::vector<PartialModel>();
  if (arguments.names) {
    for (const StoredModel& model : models) print(model.name + "\n");
    return 0;
  }
  if (arguments.json) {
    base::Json list = base::Json::array();
    for (const StoredModel& model : models) list.push_back(to_json(model));
    for (const PartialModel& model : partial) list.push_back(to_json(model));
    print(list.dump() + "\n");
    return 0;
  }
  if (models.empty() && partial.empty()) {
    note(base::cat("The model store ", store.root(),
                   " and the Hugging Face cache are empty. `openllm pull MODEL` fetches one.\n"));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "VERSION", "FORMAT", "ORIGIN", "SIZE", "USED", "BACKENDS"}};
  for (const StoredModel& model : models) rows.push_back(row_of(model));
  for (const PartialModel& model : partial) rows.push_back(row_of(model));
  print(table(rows));
  return 0;
}

int models_add_command(const Arguments& arguments) {
  check_model(arguments.path);
  const StoredModel model = ModelStore().add(arguments.model, arguments.path, arguments.version);
  print(arguments.json ? to_json(model).dump() + "\n"
                       : base::cat(model.name, ":", model.version, "\n"));
  return 0;
}

}  // namespace openllm::cli
