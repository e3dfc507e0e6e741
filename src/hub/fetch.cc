#include "hub/fetch.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/random_id.h"
#include "hub/blob_links.h"
#include "hub/file_error.h"
#include "hub/lock_file.h"
#include "store/import.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

std::vector<const RemoteFile*> chosen_files(const RepoInfo& info, const Selection& selection) {
  std::vector<const RemoteFile*> files;
  for (const RemoteFile& file : info.files) {
    if (std::binary_search(selection.files.begin(), selection.files.end(), file.path))
      files.push_back(&file);
  }
  return files;
}

Selection select(const RepoInfo& info, const Reference& reference,
                 const std::string& serialisation) {
  std::vector<std::string> paths;
  for (const RemoteFile& file : info.files) paths.push_back(file.path);
  std::sort(paths.begin(), paths.end());
  Selection selection = select_files(paths, reference, serialisation);
  std::sort(selection.files.begin(), selection.files.end());
  return selection;
}

/// A file or link that exists and leads somewhere.
bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// A file that is there in its full length. What was cut, by a crash for example, is not.
bool is_whole(const fs::path& path, std::int64_t size) {
  std::error_code error;
  const std::uintmax_t length = fs::file_size(path, error);
  return !error && (size < 0 || length == static_cast<std::uintmax_t>(size));
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_of_file(folder, "make", error.value());
}

/// The link of a snapshot's file to its blob, in place at once.
void link(const fs::path& blob, const fs::path& place) {
  make_folder(place.parent_path());
  if (is_there(place)) return;
  const fs::path target = fs::relative(blob, place.parent_path());
  const fs::path aside = place.string() + base::random_id(".openllm-");
  std::error_code error;
  fs::create_symlink(target, aside, error);
  if (!error) fs::rename(aside, place, error);
  if (error) {
    std::error_code ignored;
    fs::remove(aside, ignored);
    fail_of_file(place, "make", error.value());
  }
}

/// What the name of a revision means from now on.
void write_ref(const fs::path& repo_folder, const std::string& revision,
               const std::string& commit) {
  if (revision == commit) return;
  const fs::path ref = repo_folder / "refs" / revision;
  if (store::read_ref(ref) == commit) return;  // others' caches may be read-only
  make_folder(ref.parent_path());
  const fs::path aside = repo_folder / "refs" / base::random_id(".openllm-");
  store::write_file(aside, commit);
  std::error_code error;
  fs::rename(aside, ref, error);
  if (error) fail_of_file(ref, "write", error.value());
}

class Fetching {
 public:
  Fetching(const Asking& asking, const Cache& cache, const RepoInfo& info,
           const FetchOptions& options)
      : asking_(asking), cache_(cache), info_(info), options_(options) {}

  void run(const std::vector<const RemoteFile*>& files) {
    const bool has_all = std::all_of(files.begin(), files.end(), [&](const RemoteFile* file) {
      return !file->etag().empty() && is_whole(blob_of(*file), file->size) &&
             is_there(place_of(*file));
    });
    if (has_all) {  // also where nothing can be written
      for (const RemoteFile* file : files) remove_parts(blob_of(*file));
      return;
    }
    // Blobs have no links yet: nobody may take them for leftovers until they do.
    const LockFile lock(lock_of_repo(cache_.root(), repo_folder()), asking_.stop_token,
                        LockFile::Kind::kShared);
    for (const RemoteFile* file : files) {
      require_digest(*file);
      progress_.n_bytes_total += std::max<std::int64_t>(file->size, 0);
    }
    make_folder(repo_folder() /
                "snapshots");  // without it others take the folder for a damaged one
    for (const RemoteFile* file : files) fetch_blob(*file);
    // config.json last: readers take a folder with it for a model.
    for (const RemoteFile* file : files) {
      if (file->path != "config.json") link_file(*file);
    }
    for (const RemoteFile* file : files) {
      if (file->path == "config.json") link_file(*file);
    }
  }

 private:
  fs::path repo_folder() const { return cache_.repo_folder(info_.repo); }
  fs::path blob_of(const RemoteFile& file) const { return repo_folder() / "blobs" / file.etag(); }
  fs::path place_of(const RemoteFile& file) const {
    return repo_folder() / "snapshots" / info_.commit / file.path;
  }
  void link_file(const RemoteFile& file) const {
    if (!is_there(blob_of(file))) fail_of_file(blob_of(file), "find", ENOENT);
    link(blob_of(file), place_of(file));
  }
  /// Without one nothing can be checked, and a blob has no name.
  void require_digest(const RemoteFile& file) const {
    if (!file.etag().empty()) return;
    base::fail(ErrorCode::kCorruptData, "hub: the listing of ", info_.repo, " has no digest of ",
               file.path, "; is the endpoint (HF_ENDPOINT) one of a hub?");
  }

  /// Of somebody who was killed at the very end, or did not go on: the blob is whole.
  static void remove_parts(const fs::path& blob) {
    std::error_code ignored;
    for (const char* ending : {".openllm.parts", ".openllm.incomplete"})
      fs::remove(blob.string() + ending, ignored);
  }

  void fetch_blob(const RemoteFile& file) {
    progress_.file = file.path;
    const fs::path blob = blob_of(file);
    make_folder(blob.parent_path());
    const auto told_there = [&] {
      if (!is_whole(blob, file.size)) return false;
      remove_parts(blob);
      tell(std::max<std::int64_t>(file.size, 0));
      return true;
    };
    if (told_there()) return;
    const LockFile lock(lock_of_blob(cache_.root(), repo_folder(), file.etag()), asking_.stop_token,
                        LockFile::Kind::kExclusive, [this] { tell_of_waiting(); });
    if (told_there()) return;  // another process has fetched it meanwhile
    const Wanted wanted{file_url(asking_, info_.repo, info_.commit, file.path),
                        file.path,
                        file.size,
                        file.sha256,
                        file.sha1,
                        info_.repo};
    DownloadOptions download_options = options_.download;
    download_options.on_bytes = [this](std::int64_t n) { tell(n); };
    download_options.on_fetched = [this](std::int64_t n) { progress_.n_bytes_fetched += n; };
    download(asking_, wanted, blob, download_options);
  }

  void tell(std::int64_t n) {
    progress_.n_bytes += n;
    if (options_.progress) options_.progress(progress_);
  }

  void tell_of_waiting() {
    progress_.is_waiting = true;
    tell(0);
    progress_.is_waiting = false;
  }

  const Asking& asking_;
  const Cache& cache_;
  const RepoInfo& info_;
  const FetchOptions& options_;
  PullProgress progress_{};
};

}  // namespace

CachedModel fetch(const Asking& asking, const Cache& cache, const Reference& reference,
                  const FetchOptions& options) {
  const RepoInfo info = ask_for_repo(asking, reference);
  const Selection selection = select(info, reference, options.serialisation);
  Fetching(asking, cache, info, options).run(chosen_files(info, selection));
  Reference found = reference;
  found.repo = info.repo;
  found.revision = info.commit;
  found.file = selection.load;
  const std::optional<CachedModel> model =
      selection.format == "none" ? cache.find_texts(found) : cache.find(found);
  if (!model) {
    base::fail(
        ErrorCode::kCorruptData, "hub: ", info.repo,
        " has no model that is whole (its index names files that it does not have, or it has "
        "no config.json)");
  }
  // Last: until then the name means the commit that it meant before, if that is here.
  write_ref(cache.repo_folder(info.repo), reference.revision_or_main(), info.commit);
  return *model;
}

}  // namespace openllm::hub
