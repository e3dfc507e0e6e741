#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/check_model.h"
#include "cli/commands/commands.h"
#include "cli/download_report.h"
#include "cli/exit_status.h"
#include "cli/progress_line.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

const char* to_string(ImportedModel::State state) noexcept {
  switch (state) {
    case ImportedModel::State::kAdded:
      return "ADDED";
    case ImportedModel::State::kExists:
      return "EXISTS";
    case ImportedModel::State::kOverwritten:
      return "OVERWRITE";
  }
  return "";
}

void print_state(const char* state, const base::Json& backend, const base::Json& tag) {
  base::Json json = base::Json::object();
  json["state"] = state;
  json["backend"] = backend;
  json["tag"] = tag;
  print(json.dump() + "\n");
}

bool is_stored(const std::string& model) {
  try {
    return ModelStore().find(model).has_value();
  } catch (const Error&) {
    return false;  // no name of the store's
  }
}

/// What is neither a path nor in the store, and is to have no other name there, is a hub's model:
/// it stays where hubs' models are.
bool is_of_a_hub(const Arguments& arguments) {
  const std::string& model = arguments.model;
  const bool has_scheme = model.find("://") != std::string::npos;
  const bool is_path = model.starts_with('.') || model.starts_with('/') || model.starts_with('~') ||
                       (model.ends_with(".gguf") && !has_scheme);
  std::error_code ignored;
  return !is_path && !model.empty() && arguments.import.name.empty() && !is_stored(model) &&
         !std::filesystem::exists(model, ignored);
}

/// What became of a model, and the model.
struct Imported {
  ImportedModel::State state;
  LLM llm;
};

Imported pull(const Arguments& arguments) {
  if (arguments.import.overwrite) {
    base::fail(ErrorCode::kInvalidArgument,
               "--overwrite: a hub's commit never has other content "
               "(expected a path, or --model-name for a copy in the store)");
  }
  std::set<std::string> before;
  for (const StoredModel& model : list_models()) before.insert(model.path);
  LoadOptions load = arguments.load;
  if (load.model_version.empty()) load.model_version = arguments.import.version;
  const ProgressLine screen;
  load.progress = screen.callback();
  const Told told = arguments.json ? Told::kAsJson : Told::kByFile;
  LLM llm = open_model(arguments.model, load, told, screen);
  const bool was_there = before.count(llm.info().path) > 0;
  return {was_there ? ImportedModel::State::kExists : ImportedModel::State::kAdded, std::move(llm)};
}

Imported copy(const Arguments& arguments) {
  if (arguments.load.refresh) {
    base::fail(ErrorCode::kInvalidArgument,
               "--refresh: asks a hub what is new, but what is copied into the store is what it is "
               "(expected the name of a model on a hub)");
  }
  ImportOptions options = arguments.import;
  options.check = check_model;
  const ImportedModel imported = ModelStore().import_model(arguments.model, options);
  return {imported.state,
          LLM(base::cat(imported.model.name, ":", imported.model.version), arguments.load)};
}

/// Null when none runs the model.
base::Json backend_of(const LLM& llm) {
  try {
    return llm.backend().name;
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

int import_command(const Arguments& arguments) {
  try {
    const Imported imported = is_of_a_hub(arguments) ? pull(arguments) : copy(arguments);
    print_state(to_string(imported.state), backend_of(imported.llm), imported.llm.tag());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) print_state("NOT_FOUND", {}, {});
    throw;
  }
  return 0;
}

}  // namespace openllm::cli
