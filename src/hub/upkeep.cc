#include "hub/upkeep.h"

#include <set>

#include "base/error.h"
#include "hub/blob_links.h"
#include "hub/file_digest.h"
#include "hub/lock_file.h"
#include "hub/selection.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

bool is_digest(const std::string& name) {
  return (name.size() == 40 || name.size() == 64) && store::is_hex(name);
}

/// What is wrong with a blob of this name; empty: nothing.
std::string compare(const fs::path& path, const std::string& name,
                    const std::function<void(std::int64_t)>& on_bytes) {
  std::string digest;
  try {
    digest = name.size() == 64 ? sha256_of(path, on_bytes) : git_sha1_of(path, on_bytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    return error.what();
  }
  if (digest == name) return {};
  return base::cat("has other bytes than the hub listed (expected ",
                   name.size() == 64 ? "SHA-256 " : "SHA-1 ", name, ", got ", digest, ")");
}

void remove_refs(const fs::path& refs, const std::string& commit) {
  std::vector<fs::path> found;
  for_each_entry(refs, [&](const fs::path& path) {
    if (store::read_ref(path) == commit) found.push_back(path);
  });
  for (const fs::path& path : found) remove_file(path);
}

/// All parts of the GGUF model that a reference means, where the snapshot has others beside it;
/// else none, and the snapshot goes whole.
std::set<fs::path> files_of_one(const Cache& cache, const Snapshot& snapshot,
                                const Reference& reference) {
  const std::vector<CachedModel> all = cache.models_in(snapshot);
  const auto meant = cache.find(reference);
  std::set<fs::path> files;
  if (!meant || all.size() < 2) return files;
  const std::string name = meant->path.lexically_relative(snapshot.folder).string();
  for (const std::string& part : parts_of_split(name)) files.insert(snapshot.folder / part);
  return files;
}

void remove_blobs(const fs::path& folder, const std::set<std::string>& names,
                  const std::set<std::string>& needed) {
  for (const std::string& name : names) {
    if (needed.count(name) == 0) remove_file(folder / "blobs" / name);
  }
}

void remove_snapshot(const fs::path& folder, const Snapshot& snapshot) {
  const std::set<std::string> own = linked_blobs(snapshot.folder);
  const std::set<std::string> others = linked_blobs(folder / "snapshots", {snapshot.folder});
  remove_refs(folder / "refs", snapshot.commit);
  // Out of sight at once; then what is in it.
  const fs::path aside = folder / "snapshots" / (snapshot.commit + ".openllm-removed");
  std::error_code error;
  fs::remove_all(aside, error);
  fs::rename(snapshot.folder, aside, error);
  if (error) {
    base::fail(ErrorCode::kIo, "hub: ", snapshot.folder.string(),
               ": cannot remove: ", error.message());
  }
  fs::remove_all(aside, error);
  remove_blobs(folder, own, others);
  if (fs::is_empty(folder / "snapshots", error) && !error) fs::remove_all(folder, error);
}

}  // namespace

std::vector<Damage> verify(const Snapshot& snapshot,
                           const std::function<void(std::int64_t)>& on_bytes) {
  std::vector<Damage> damages;
  for_each_entry(snapshot.folder, [&](const fs::path& path) {
    const std::string name = blob_name(path);
    std::error_code error;
    if (!fs::exists(path, error)) {
      damages.push_back({path, "leads to no file"});
    } else if (is_digest(name)) {
      std::string reason = compare(path, name, on_bytes);
      if (!reason.empty()) damages.push_back({path, std::move(reason)});
    }
  });
  return damages;
}

bool remove(const Cache& cache, const Reference& reference) {
  const std::optional<Snapshot> snapshot = cache.snapshot(reference);
  if (!snapshot) return false;
  const bool names_file = !reference.variant.empty() || !reference.file.empty();
  if (names_file && !cache.find(reference)) return false;
  const fs::path folder = cache.repo_folder(snapshot->repo);
  if (const fs::path link = linked_folder(folder); !link.empty()) {
    base::fail(ErrorCode::kUnsupported, "hub: ", link.string(),
               ": is a link; nothing behind it is deleted");
  }
  const auto lock = LockFile::take_free(lock_of_repo(cache.root(), folder));
  if (!lock) {
    base::fail(ErrorCode::kBusy, "hub: ", snapshot->repo,
               ": is being downloaded by another process");
  }
  const std::set<fs::path> files =
      names_file ? files_of_one(cache, *snapshot, reference) : std::set<fs::path>();
  if (files.empty()) {
    remove_snapshot(folder, *snapshot);
    return true;
  }
  std::set<std::string> own;
  for (const fs::path& file : files) own.insert(blob_name(file));
  own.erase("");
  const std::set<std::string> others = linked_blobs(folder / "snapshots", files);
  for (const fs::path& file : files) remove_file(file);
  remove_blobs(folder, own, others);
  return true;
}

}  // namespace openllm::hub
