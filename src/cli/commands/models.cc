#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

std::string readable_size(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MB", static_cast<double>(bytes) * 1e-6);
  return text;
}

}  // namespace

int models_command(const Arguments& arguments) {
  const ModelStore store;
  const std::vector<StoredModel> models = store.list();
  if (arguments.json) {
    base::Json list = base::Json::array();
    for (const StoredModel& model : models) {
      base::Json entry = base::Json::object();
      entry["name"] = model.name;
      entry["version"] = model.version;
      entry["format"] = model.format;
      entry["bytes"] = model.bytes;
      entry["path"] = model.path;
      list.push_back(std::move(entry));
    }
    print(list.dump() + "\n");
    return 0;
  }
  if (models.empty()) std::fprintf(stderr, "The model store %s is empty.\n", store.root().c_str());
  for (const StoredModel& model : models) {
    print(base::cat(model.name, ":", model.version, "  ", model.format, "  ", readable_size(model.bytes), "\n"));
  }
  return 0;
}

int models_add_command(const Arguments& arguments) {
  const StoredModel model = ModelStore().add(arguments.model, arguments.path, arguments.version);
  print(base::cat(model.name, ":", model.version, "  ", model.path, "\n"));
  return 0;
}

int models_remove_command(const Arguments& arguments) {
  const ModelStore store;
  if (!store.remove(arguments.model)) {
    base::fail(ErrorCode::kNotFound, "models: ", arguments.model, " is not in the store (", store.root(), ")");
  }
  return 0;
}

}  // namespace openllm::cli
