#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/check_model.h"
#include "cli/commands/commands.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

base::Json to_json(const DiskUsage& usage) {
  base::Json models = base::Json::array();
  for (const ModelUsage& model : usage.models) {
    base::Json entry = base::Json::object();
    entry["name"] = model.name;
    entry["version"] = model.version;
    entry["origin"] = model.origin;
    entry["bytes"] = model.bytes;
    entry["shared_bytes"] = model.shared_bytes;
    models.push_back(std::move(entry));
  }
  base::Json origins = base::Json::array();
  for (const OriginUsage& origin : usage.origins) {
    base::Json entry = base::Json::object();
    entry["origin"] = origin.origin;
    entry["folder"] = origin.folder;
    entry["bytes"] = origin.bytes;
    entry["unused_bytes"] = origin.unused_bytes;
    origins.push_back(std::move(entry));
  }
  base::Json json = base::Json::object();
  json["models"] = std::move(models);
  json["origins"] = std::move(origins);
  json["bytes"] = usage.bytes;
  return json;
}

std::string size_or_dash(std::int64_t bytes) { return bytes == 0 ? "-" : readable_size(bytes); }

}  // namespace

int du_command(const Arguments& arguments) {
  const DiskUsage usage = disk_usage(arguments.model);
  std::int64_t packed = 0;
  for (const PackedCopy& copy : packed_copies()) packed += copy.bytes;
  if (arguments.json) {
    base::Json json = to_json(usage);
    json["packed_bytes"] = packed;
    print(json.dump() + "\n");
    return 0;
  }
  constexpr std::size_t kShownDigits = 12;
  std::vector<std::vector<std::string>> rows = {{"NAME", "VERSION", "ORIGIN", "SIZE", "SHARED"}};
  for (const ModelUsage& model : usage.models) {
    rows.push_back({model.name, model.version.substr(0, kShownDigits), model.origin,
                    readable_size(model.bytes), size_or_dash(model.shared_bytes)});
  }
  print(table(rows) + "\n");
  rows = {{"ORIGIN", "SIZE", "UNUSED", "FOLDER"}};
  for (const OriginUsage& origin : usage.origins) {
    if (origin.bytes == 0) continue;
    rows.push_back({origin.origin, readable_size(origin.bytes), size_or_dash(origin.unused_bytes),
                    origin.folder});
  }
  if (rows.size() > 1) print(table(rows) + "\n");
  print(base::cat("total  ", readable_size(usage.bytes), "\n"));
  if (packed > 0) {
    print(base::cat("packed copies  ", readable_size(packed),
                    "  (openllm prune --packed deletes them)\n"));
  }
  return 0;
}

}  // namespace openllm::cli
