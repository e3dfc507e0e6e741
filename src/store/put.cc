#include "store/put.h"

#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "store/entries.h"
#include "store/import.h"
#include "store/names.h"
#include "store/staging.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;
using base::Json;
using State = ImportedModel::State;

std::string describe(const Source& source, const Copied& copied, const std::string& name,
                     const std::string& version) {
  Json info = Json::object();
  info["name"] = name;
  info["version"] = version;
  info["format"] = source.format;
  info["file"] = source.file;
  info["bytes"] = copied.bytes;
  info["sha256"] = copied.sha256;
  Json files = Json::array();
  for (const FileHash& file : copied.files) {
    Json entry = Json::object();
    entry["path"] = file.path;
    entry["bytes"] = file.bytes;
    entry["sha256"] = file.sha256;
    files.push_back(std::move(entry));
  }
  info["files"] = std::move(files);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  info["added_ns"] =
      static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  return info.dump() + "\n";
}

/// The name and the version, wherever they stand. A name that differs in letter case only is the
/// same model.
Reference reference_of(const std::string& root, const ImportOptions& options) {
  Reference wanted = parse_reference(options.name);
  if (!options.version.empty()) {
    check_version(options.version);
    if (!wanted.version.empty() && wanted.version != options.version) {
      base::fail_with(ErrorCode::kInvalidArgument, {"version"}, "model store: two versions given (",
                      wanted.version, " in the name, and ", options.version, ")");
    }
    wanted.version = options.version;
  }
  if (const Contents known = matches(root, {wanted.name, {}}); !known.entries.empty())
    wanted.name = parse_name(known.entries.front().model.name);
  return wanted;
}

}  // namespace

ImportedModel put(const std::string& root, const ImportOptions& options, const std::string& path) {
  Reference wanted = reference_of(root, options);
  if (options.check) options.check(path);
  const Source source = inspect(path);
  Staging staging(root);
  const Copied copied = copy_files(source, staging.folder());
  if (wanted.version.empty()) wanted.version = copied.sha256.substr(0, 12);
  const std::string full = wanted.name.full();
  write_file(staging.folder() / kInfoFile, describe(source, copied, full, wanted.version));

  const fs::path target = model_folder(root, wanted.name) / wanted.version;
  const auto stored = [&] { return read_entry(target, full, wanted.version).model; };
  if (staging.publish(target)) return {State::kAdded, stored()};
  const auto replace = [&] {
    if (!staging.take(target) || !staging.publish(target))
      base::fail_at(ErrorCode::kIo, target.string(), "is in the way and not a model of the store");
  };
  try {
    const Entry entry = read_entry(target, full, wanted.version);
    if (entry.model.sha256 == copied.sha256) return {State::kExists, entry.model};
  } catch (const Error&) {  // a damaged entry makes room
    replace();
    return {State::kAdded, stored()};
  }
  if (!options.overwrite) {
    base::fail_with(ErrorCode::kInvalidArgument, {"version"}, "model store: ", full, ":",
                    wanted.version,
                    " exists with other content (remove it first, or give another version)");
  }
  replace();
  return {State::kOverwritten, stored()};
}

}  // namespace openllm::store
