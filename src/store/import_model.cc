// ModelStore::import_model: what a name or a path brings into the store.

#include <filesystem>

#include "base/error.h"
#include "format/locate.h"
#include "store/hub_cache.h"
#include "store/names.h"
#include "store/put.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;

/// "name:version" taken apart, where the string is no path.
struct Wanted {
  std::string name;
  std::string version;
};

Wanted take_apart(const std::string& model, const std::string& version) {
  const std::size_t colon = model.find(':');
  Wanted wanted{model.substr(0, colon), version};
  if (colon == std::string::npos) return wanted;
  if (!version.empty() && model.substr(colon + 1) != version) {
    base::fail_at(ErrorCode::kInvalidArgument, "model_version",
                  "is not that of the model's name (got ", version, " and ", model, ")");
  }
  wanted.version = model.substr(colon + 1);
  return wanted;
}

/// The last part of a path, without ".gguf".
std::string name_of_path(const fs::path& path) {
  std::error_code ignored;
  fs::path whole = fs::absolute(path, ignored).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  const bool is_gguf = format::has_gguf_ending(whole.filename().string());
  std::string name = (is_gguf ? whole.stem() : whole.filename()).string();
  if (!store::is_name_part(name)) {
    base::fail_at(ErrorCode::kInvalidArgument, "model_name", "is needed, for ", name,
                  " cannot be the name of a model");
  }
  return name;
}

ImportedModel put_snapshot(const std::string& root, const store::HubSnapshot& snapshot,
                           ImportOptions options) {
  if (options.name.empty()) options.name = snapshot.id;
  if (options.version.empty()) options.version = snapshot.commit;
  return store::put(root, options, snapshot.folder.string());
}

ImportedModel put_path(const std::string& root, const std::string& path, ImportOptions options) {
  if (const auto snapshot = store::open_snapshot(path, options.version))
    return put_snapshot(root, *snapshot, std::move(options));
  if (options.name.empty()) options.name = name_of_path(path);
  return store::put(root, options, path);
}

}  // namespace

ImportedModel ModelStore::import_model(const std::string& model,
                                       const ImportOptions& options) const {
  if (model.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "model",
                  "empty (expected a name, a folder or a .gguf file)");
  }
  if (store::is_path(model)) return put_path(root_, store::expand_home(model), options);
  const Wanted wanted = take_apart(model, options.version);
  const bool is_name = store::is_name(wanted.name);
  if (is_name && options.name.empty()) {
    const std::string full =
        wanted.version.empty() ? wanted.name : wanted.name + ":" + wanted.version;
    if (auto found = find(full)) return {ImportedModel::State::kExists, std::move(*found)};
  }
  if (is_name) {
    ImportOptions named = options;
    named.version = wanted.version;
    if (const auto snapshot = store::find_snapshot(wanted.name, wanted.version))
      return put_snapshot(root_, *snapshot, std::move(named));
  }
  std::error_code ignored;
  if (fs::is_directory(model, ignored) || format::starts_with_gguf_magic(model))
    return put_path(root_, model, options);
  const std::string cache = store::hub_cache().string();
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", model,
                  " is neither in the store (", root_, ") nor in the Hugging Face cache (",
                  cache.empty() ? "no variable says where" : cache, ") nor a folder");
}

}  // namespace openllm
