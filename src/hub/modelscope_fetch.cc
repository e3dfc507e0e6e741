#include "hub/modelscope_fetch.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/random_id.h"
#include "hub/file_digest.h"
#include "hub/lock_file.h"
#include "hub/modelscope_api.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(const fs::path& path, const char* what, const std::error_code& error) {
  base::fail(ErrorCode::kIo, "hub: ", path.string(), ": cannot ", what, ": ", error.message());
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_io(folder, "make", error);
}

/// A regular file of that size and digest.
bool has_content(const fs::path& path, const RemoteFile& file) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  const std::uintmax_t size = fs::file_size(path, error);
  const bool is_size = file.size < 0 || size == static_cast<std::uintmax_t>(file.size);
  if (error || !is_size) return false;
  return file.sha256.empty() ? file.size >= 0 : sha256_of(path) == file.sha256;
}

/// One name more for a file; a copy where the file system has no such links.
void give_name(const fs::path& from, const fs::path& to) {
  make_folder(to.parent_path());
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (error) fail_io(to, "make", error);
}

/// One revision: the folder that is there, and the one that takes its place.
class Fetching {
 public:
  Fetching(const Asking& asking, const Reference& reference, const FetchOptions& options,
           fs::path place)
      : asking_(asking), reference_(reference), options_(options), place_(std::move(place)) {
    // Beside "snapshots", out of sight of those who list it.
    const fs::path repo_folder = place_.parent_path().parent_path();
    aside_ = repo_folder / ".openllm" / encoded(reference.revision);
  }

  void run(const std::vector<const RemoteFile*>& wanted, const std::vector<RemoteFile>& all) {
    for (const RemoteFile* file : wanted) {
      progress_.n_bytes_total += std::max<std::int64_t>(file->size, 0);
      (has_content(place_ / file->path, *file) ? there_ : missing_).push_back(file);
    }
    for (const RemoteFile* file : there_) tell(*file, std::max<std::int64_t>(file->size, 0));
    if (missing_.empty()) return;
    for (const RemoteFile* file : missing_) fetch(*file);
    for (const RemoteFile* file : there_) keep(*file);
    for (const RemoteFile& file : all) keep(file);
    publish();
  }

 private:
  void fetch(const RemoteFile& file) {
    const fs::path target = aside_ / file.path;
    make_folder(target.parent_path());
    if (has_content(target, file)) return tell(file, std::max<std::int64_t>(file.size, 0));
    std::error_code ignored;
    fs::remove(target, ignored);
    DownloadOptions downloading = options_.download;
    downloading.on_bytes = [&](std::int64_t n) { tell(file, n); };
    download(asking_,
             {modelscope_file_url(asking_, reference_.repo, reference_.revision, file.path),
              file.path, file.size, file.sha256},
             target, downloading);
  }

  /// What is in the old folder and still in the repository stays.
  void keep(const RemoteFile& file) const {
    std::error_code error;
    const fs::path old = place_ / file.path;
    if (fs::exists(aside_ / file.path, error) || !fs::is_regular_file(old, error)) return;
    const std::uintmax_t size = fs::file_size(old, error);
    if (!error && file.size >= 0 && size == static_cast<std::uintmax_t>(file.size))
      give_name(old, aside_ / file.path);
  }

  void publish() const {
    make_folder(place_.parent_path());
    std::error_code error;
    const fs::path old = aside_.string() + base::random_id(".old-");
    fs::rename(place_, old, error);
    if (error && error != std::errc::no_such_file_or_directory) fail_io(place_, "move", error);
    fs::rename(aside_, place_, error);
    if (error) fail_io(place_, "make", error);
    fs::remove_all(old, error);
    fs::remove(aside_.parent_path(), error);  // when it is empty
  }

  void tell(const RemoteFile& file, std::int64_t n) {
    progress_.file = file.path;
    progress_.n_bytes += n;
    if (options_.progress) options_.progress(progress_);
  }

  const Asking& asking_;
  const Reference& reference_;
  const FetchOptions& options_;
  fs::path place_;
  fs::path aside_{};
  std::vector<const RemoteFile*> there_{};
  std::vector<const RemoteFile*> missing_{};
  FetchProgress progress_{};
};

std::vector<const RemoteFile*> chosen(const std::vector<RemoteFile>& files,
                                      const Selection& selection) {
  std::vector<const RemoteFile*> wanted;
  for (const RemoteFile& file : files) {
    const auto found = std::find(selection.files.begin(), selection.files.end(), file.path);
    if (found != selection.files.end()) wanted.push_back(&file);
  }
  return wanted;
}

std::vector<std::string> sorted_paths(const std::vector<RemoteFile>& files) {
  std::vector<std::string> paths;
  for (const RemoteFile& file : files) paths.push_back(file.path);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

OtherModel fetch_from_modelscope(const Asking& asking, const ModelScopeCache& cache,
                                 const Reference& reference, const FetchOptions& options) {
  Reference exact = reference;
  if (exact.revision.empty()) exact.revision = kModelScopeRevision;
  const std::vector<RemoteFile> files = ask_modelscope(asking, exact);
  const Selection selection = select_files(sorted_paths(files), exact, options.serialisation);
  std::string lock_name = "openllm-" + exact.repo + ".lock";
  std::replace(lock_name.begin(), lock_name.end(), '/', '-');
  const LockFile lock(cache.root() / ".lock" / lock_name, asking.stop_token);
  Fetching(asking, exact, options, cache.snapshot_folder(exact.repo, exact.revision))
      .run(chosen(files, selection), files);
  exact.file = selection.load;
  const std::optional<OtherModel> model = cache.find(exact);
  if (!model) {
    base::fail(ErrorCode::kCorruptData, "hub: ", exact.repo,
               " has no model that is whole (its index names files that it does not have, or it "
               "has no config.json)");
  }
  return *model;
}

}  // namespace openllm::hub
