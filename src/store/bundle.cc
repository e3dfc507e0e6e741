#include "openllm/bundle.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "store/import.h"
#include "store/sha256.h"
#include "store/staging.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr const char* kListFile = "openllm.json";
constexpr const char* kModelFolder = "model";
/// Smaller files are copied: configurations are edited in place, and a link would go along.
constexpr std::uintmax_t kLinkBytes = 1 << 20U;

[[noreturn]] void fail_system(const fs::path& path, const char* what, int reason) {
  const bool full = reason == ENOSPC || reason == EDQUOT;
  base::fail(full ? ErrorCode::kResourceExhausted : ErrorCode::kIo, path.string(), ": ", what, ": ",
             std::strerror(reason));
}

std::string sum_of(const std::string& path) {
  const base::MappedFile file(path);
  store::Sha256 hash;
  hash.update(file.bytes().data(), file.bytes().size());
  return hash.hex();
}

/// The file reached the disk.
void sync(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_system(path, "cannot open", errno);
  const int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (failed != 0) fail_system(path, "cannot flush", failed);
}

/// Puts files into the folder and lists them.
class Writer {
 public:
  explicit Writer(fs::path folder) : folder_(std::move(folder)) {}

  void add_model(const std::string& model) {
    for (const store::SourceFile& file : store::inspect(model).files)
      link_or_copy(file.from, kModelFolder / file.to);
  }
  void add(const BundleFile& file) {
    const fs::path target = make_place(file.path);
    if (file.from.empty()) {
      store::write_file(target, file.text);
    } else {
      copy(file.from, target);
    }
    if (file.executable) {
      using enum fs::perms;
      fs::permissions(target, owner_exec | group_exec | others_exec, fs::perm_options::add);
    }
    list(file.path);
  }
  void finish(const std::string& description) {
    Json json = Json::parse(description, "description");
    json.as_object("description");
    std::sort(files_.begin(), files_.end());
    Json files = Json::array();
    for (const std::string& path : files_) {
      Json entry = Json::object();
      entry["path"] = path;
      entry["bytes"] = static_cast<std::int64_t>(fs::file_size(folder_ / path));
      entry["sha256"] = sum_of((folder_ / path).string());
      files.push_back(std::move(entry));
    }
    json["files"] = std::move(files);
    store::write_file(folder_ / kListFile, json.dump() + "\n");
  }

 private:
  fs::path make_place(const fs::path& path) {
    base::check(path.is_relative() && !path.empty(), "bundle: a path that leads out of the folder");
    fs::path target = folder_ / path;
    fs::create_directories(target.parent_path());
    return target;
  }
  void copy(const fs::path& from, const fs::path& target) {
    fs::copy_file(from, target);
    sync(target);
  }
  void link_or_copy(const fs::path& from, const fs::path& path) {
    const fs::path target = make_place(path);
    const fs::path file = fs::canonical(from);
    std::error_code failed;
    if (fs::file_size(file) >= kLinkBytes) {
      fs::create_hard_link(file, target, failed);
    } else {
      failed = std::make_error_code(std::errc::operation_not_supported);
    }
    if (failed) copy(file, target);
    list(path);
  }
  void list(const fs::path& path) { files_.push_back(path.string()); }

  fs::path folder_;
  std::vector<std::string> files_{};
};

/// Throws unless a bundle may be written there.
void check_place(const fs::path& folder, bool overwrite) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder))
    base::fail_at(ErrorCode::kInvalidArgument, folder.string(), "is not a folder");
  if (fs::is_empty(folder)) return;
  if (!is_bundle(folder.string())) {
    base::fail_at(ErrorCode::kInvalidArgument, folder.string(),
                  "has files, and is no folder that `openllm build` made (expected a new folder)");
  }
  if (!overwrite) {
    base::fail_at(ErrorCode::kInvalidArgument, folder.string(),
                  "exists already (expected a new folder, or --overwrite)");
  }
}

/// Moves what is in `staging` to `folder`, in the place of an older bundle.
void publish(store::Staging& staging, const fs::path& folder, bool overwrite) {
  if (staging.publish(folder)) return;
  check_place(folder, overwrite);  // somebody else may have written it meanwhile
  // Both change places at once; the older one goes with the staging.
  if (::renameat2(AT_FDCWD, staging.folder().c_str(), AT_FDCWD, folder.c_str(), RENAME_EXCHANGE) ==
      0)
    return;
  if (errno != EINVAL && errno != ENOSYS) fail_system(folder, "cannot be replaced", errno);
  // A file system that cannot do that: for a moment there is none.
  if (!staging.take(folder) || !staging.publish(folder))
    base::fail_at(ErrorCode::kIo, folder.string(), "cannot be replaced");
}

/// The hidden folder beside the target where it is put together; gone in the end.
class Workplace {
 public:
  explicit Workplace(const fs::path& target)
      : path_(target.parent_path() / ("." + target.filename().string() + ".building")) {}
  ~Workplace() {
    std::error_code ignored;  // only empty folders go
    fs::remove(path_ / "tmp", ignored);
    fs::remove(path_, ignored);
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

/// Without links and without a slash at the end, so that a parent and a name remain.
fs::path plain_path(const std::string& folder) {
  if (folder.empty()) base::fail(ErrorCode::kInvalidArgument, "the folder's name is empty");
  fs::path path = fs::weakly_canonical(fs::absolute(folder));
  if (!path.has_filename()) path = path.parent_path();
  if (path == path.root_path())
    base::fail_at(ErrorCode::kInvalidArgument, folder,
                  "cannot be replaced (expected a new folder)");
  return path;
}

template <typename Work>
auto with_io_errors(Work work) {
  try {
    return work();
  } catch (const fs::filesystem_error& error) {
    const bool full = error.code() == std::errc::no_space_on_device;
    base::fail(full ? ErrorCode::kResourceExhausted : ErrorCode::kIo, error.path1().string(), ": ",
               error.code().message());
  }
}

/// Files of a bundle lie within it, beside those of the model, and none takes another one's place.
void check_files(const std::vector<BundleFile>& files) {
  std::set<fs::path> taken{fs::path(kListFile)};
  for (const BundleFile& file : files) {
    const fs::path path = fs::path(file.path).lexically_normal();
    const bool is_within = !file.path.empty() && path.is_relative() && path.has_filename() &&
                           path != "." && *path.begin() != "..";
    const bool is_models = is_within && *path.begin() == kModelFolder;
    if (is_within && !is_models && taken.insert(path).second) continue;
    base::fail_at(ErrorCode::kInvalidArgument, "files", file.path,
                  !is_within ? ": leads out of the folder" : ": is there already",
                  " (expected a path of its own within the folder)");
  }
}

}  // namespace

void write_bundle(const std::string& folder, const BundleContents& contents, bool overwrite) {
  with_io_errors([&] {
    const fs::path target = plain_path(folder);
    check_files(contents.files);
    check_place(target, overwrite);
    const Workplace workplace(target);
    store::Staging staging(workplace.path());
    Writer writer(staging.folder());
    writer.add_model(contents.model);
    for (const BundleFile& file : contents.files) writer.add(file);
    writer.finish(contents.description);
    publish(staging, target, overwrite);
  });
}

bool is_bundle(const std::string& folder) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(folder) / kListFile, ignored);
}

}  // namespace openllm
