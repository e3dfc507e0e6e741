#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// What a name means; nothing for what is damaged, which may be removed too.
std::optional<StoredModel> find_sound(const std::string& model) {
  try {
    return find_model(model);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptData) throw;
    return std::nullopt;
  }
}

void remove_from_store(const std::string& model) {
  const std::optional<StoredModel> found = find_sound(model);
  if (found && found->origin != "store") {
    base::fail(ErrorCode::kInvalidArgument, "models remove: ", found->name, " is in the ",
               found->origin == "hub" ? "Hugging Face cache, which other programs use too"
                                      : "folder of downloads",
               " (--hub deletes it there)");
  }
  const ModelStore store;
  if (store.remove(model)) return;
  const std::optional<std::string> meant = store.nearest(model);
  base::fail(ErrorCode::kNotFound, "models remove: ", model, " is not in the store ", store.root(),
             meant ? "; did you mean " + *meant + "?" : "");
}

void remove_from_hub(const std::string& model) {
  const Hub hub;
  if (hub.remove(model)) return;
  const std::optional<StoredModel> found = find_sound(model);
  base::fail(ErrorCode::kNotFound, "models remove: ", model, " is not in the Hugging Face cache ",
             hub.cache(), found ? "; the store has it, which --hub leaves alone" : "");
}

bool has(const std::vector<ModelUsage>& models, const ModelUsage& wanted) {
  return std::any_of(models.begin(), models.end(), [&](const ModelUsage& model) {
    return model.name == wanted.name && model.version == wanted.version &&
           model.origin == wanted.origin;
  });
}

void print_difference(const DiskUsage& before, const DiskUsage& after) {
  base::Json removed = base::Json::array();
  for (const ModelUsage& model : before.models) {
    if (has(after.models, model)) continue;
    base::Json entry = base::Json::object();
    entry["name"] = model.name;
    entry["version"] = model.version;
    entry["origin"] = model.origin;
    removed.push_back(std::move(entry));
  }
  base::Json json = base::Json::object();
  json["removed"] = std::move(removed);
  json["bytes"] = before.bytes - after.bytes;
  print(json.dump() + "\n");
}

}  // namespace

int models_remove_command(const Arguments& arguments) {
  const DiskUsage before = arguments.json ? disk_usage() : DiskUsage();
  if (arguments.hub) {
    remove_from_hub(arguments.model);
  } else {
    remove_from_store(arguments.model);
  }
  if (arguments.json) print_difference(before, disk_usage());
  return 0;
}

}  // namespace openllm::cli
