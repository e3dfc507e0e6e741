#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

std::string readable_size(std::int64_t bytes) {
  char text[32];
  const double size = static_cast<double>(bytes);
  std::snprintf(text, sizeof(text), "%.1f %s", size < 1e9 ? size * 1e-6 : size * 1e-9,
                size < 1e9 ? "MB" : "GB");
  return text;
}

base::Json to_json(const StoredModel& model) {
  base::Json entry = base::Json::object();
  entry["name"] = model.name;
  entry["version"] = model.version;
  entry["format"] = model.format;
  entry["bytes"] = model.bytes;
  entry["path"] = model.path;
  return entry;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

/// Keeps damaged files, and folders whose parts do not fit together, out of the store.
void check_model(const std::string& path) {
  // Without "./" it could be the name of a stored model.
  const bool is_clear = path.starts_with('/') || path.starts_with('.') || path.starts_with('~');
  try {
    const LLM model(is_clear ? path : "./" + path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    note(base::cat("openllm: note: this version cannot run it: ", error.what(), "\n"));
  }
}

}  // namespace

int models_command(const Arguments& arguments) {
  const ModelStore store;
  for (const DamagedModel& model : store.damaged()) {
    note(base::cat("openllm: ", model.name, ":", model.version, " is damaged (", model.reason,
                   "); `openllm models remove ", model.name, ":", model.version, "` deletes it\n"));
  }
  const std::vector<StoredModel> models = store.list();
  if (arguments.json) {
    base::Json list = base::Json::array();
    for (const StoredModel& model : models) list.push_back(to_json(model));
    print(list.dump() + "\n");
    return 0;
  }
  if (models.empty()) {
    note(base::cat(
        "The model store ", store.root(),
        " is empty. `scripts/fetch-model` fetches models, `openllm models add` copies them.\n"));
    return 0;
  }
  std::size_t width = 4;
  for (const StoredModel& model : models) width = std::max(width, model.name.size());
  print(base::cat(padded("NAME", width), "  VERSION       FORMAT       SIZE\n"));
  for (const StoredModel& model : models) {
    print(base::cat(padded(model.name, width), "  ", padded(model.version, 12), "  ",
                    padded(model.format, 11), "  ", readable_size(model.bytes), "\n"));
  }
  return 0;
}

int models_add_command(const Arguments& arguments) {
  check_model(arguments.path);
  const StoredModel model = ModelStore().add(arguments.model, arguments.path, arguments.version);
  print(arguments.json ? to_json(model).dump() + "\n"
                       : base::cat(model.name, ":", model.version, "\n"));
  return 0;
}

int models_remove_command(const Arguments& arguments) {
  const ModelStore store;
  if (!store.remove(arguments.model)) {
    const std::optional<std::string> meant = store.nearest(arguments.model);
    base::fail(ErrorCode::kNotFound, "models remove: ", arguments.model, " is not in the store ",
               store.root(), meant ? "; did you mean " + *meant + "?" : "");
  }
  return 0;
}

}  // namespace openllm::cli
