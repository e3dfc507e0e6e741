// Comparing files with what they have to hold.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "store/entries.h"
#include "store/import.h"
#include "store/sha256.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using base::Json;

/// Descriptions with a list of files, the first one that is there counts.
constexpr const char* kDescriptions[] = {"openllm.json", store::kInfoFile};
constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

/// Tells how much of all bytes has been read.
class Progress {
 public:
  Progress(const ProgressCallback& callback, std::int64_t total)
      : callback_(callback), total_(total) {}

  void add(std::size_t bytes) {
    done_ += static_cast<std::int64_t>(bytes);
    if (!callback_) return;
    try {
      callback_("verifying",
                total_ == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(total_));
    } catch (...) {
      std::throw_with_nested(
          Error(ErrorCode::kCancelled, "progress: verifying was ended", "progress"));
    }
  }

 private:
  const ProgressCallback& callback_;
  std::int64_t total_;
  std::int64_t done_ = 0;
};

/// Closes it.
struct Descriptor {
  int fd;
  explicit Descriptor(const fs::path& path) : fd(base::open_unnoticed(path.string())) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

/// The hash of a file; or, in `failure`, why it cannot be read.
std::string hash_file(const fs::path& path, Progress& progress, std::string& failure) {
  const Descriptor file(path);
  store::Sha256 hash;
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  for (;;) {
    const ssize_t n = file.fd < 0 ? -1 : ::read(file.fd, buffer.get(), kReadBytes);
    if (n == 0) return hash.hex();
    if (n < 0 && file.fd >= 0 && errno == EINTR) continue;
    if (n < 0) {
      failure = base::cat("cannot be read: ", std::strerror(errno));
      return {};
    }
    hash.update(buffer.get(), static_cast<std::size_t>(n));
    progress.add(static_cast<std::size_t>(n));
  }
}

/// What is wrong with a file; empty: nothing.
std::string compare(const fs::path& path, const FileHash& wanted, Progress& progress) {
  std::error_code error;
  if (!fs::exists(path, error)) return "missing";
  if (!fs::is_regular_file(path, error)) return "is no file";
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path, error));
  if (error) return base::cat("cannot be read: ", error.message());
  if (bytes != wanted.bytes)
    return base::cat("has another size (expected ", wanted.bytes, " bytes, got ", bytes, ")");
  std::string failure;
  const std::string got = hash_file(path, progress, failure);
  if (!failure.empty()) return failure;
  if (got == wanted.sha256) return {};
  return base::cat("has other content (expected SHA-256 ", wanted.sha256, ", got ", got, ")");
}

/// A list from a file that anybody may have written must not lead out of the folder.
void check_path(const std::string& path) {
  const fs::path parts(path);
  const bool leads_out = path.empty() || parts.is_absolute() ||
                         std::find(parts.begin(), parts.end(), "..") != parts.end();
  if (leads_out) base::fail_at(ErrorCode::kCorruptData, path, "leads out of the folder");
}

std::vector<FileHash> read_list(const Json& json, const std::string& where) {
  const base::JsonArray& list = json.as_array(where);
  std::vector<FileHash> files;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = base::cat(where, "[", i, "]");
    const auto member = [&](const char* name) -> const Json& {
      const Json* value = list[i].find(name);
      if (value == nullptr) base::fail_at(ErrorCode::kInvalidArgument, place, "lacks ", name);
      return *value;
    };
    files.push_back({member("path").as_string(place + ".path"),
                     member("bytes").as_int(place + ".bytes"),
                     member("sha256").as_string(place + ".sha256")});
  }
  return files;
}

/// A model that was added before each of its files had a hash of its own.
std::vector<FileProblem> verify_whole(const std::string& folder, const std::string& sha256,
                                      const ProgressCallback& callback) {
  if (sha256.empty())
    base::fail_at(ErrorCode::kCorruptData, store::kInfoFile, "has no SHA-256 to compare with");
  std::vector<FileHash> files;
  std::int64_t total = 0;
  for (const store::SourceFile& file : store::list_files(folder)) {
    files.push_back({file.to.string(), static_cast<std::int64_t>(fs::file_size(file.from)), ""});
    total += files.back().bytes;
  }
  Progress progress(callback, total);
  for (FileHash& file : files) {
    std::string failure;
    file.sha256 = hash_file(fs::path(folder) / file.path, progress, failure);
    if (!failure.empty()) return {{file.path, failure}};
  }
  if (store::hash_of_all(files) == sha256) return {};
  if (files.size() == 1) {
    return {{files[0].path, base::cat("has other content (expected SHA-256 ", sha256, ", got ",
                                      files[0].sha256, ")")}};
  }
  return {{"", base::cat("one of the ", files.size(),
                         " files is not what was added, or one is missing or too much")}};
}

/// Files in the folder that neither list names.
void find_others(const std::string& folder, const std::vector<FileHash>& files,
                 const std::vector<std::string>& besides, std::vector<FileProblem>& problems) {
  for (const store::SourceFile& file : store::list_files(folder)) {
    const std::string path = file.to.string();
    const bool is_known = std::any_of(files.begin(), files.end(),
                                      [&](const auto& one) { return one.path == path; }) ||
                          std::find(besides.begin(), besides.end(), path) != besides.end();
    if (!is_known) problems.push_back({path, "is not in the list"});
  }
}

}  // namespace

std::vector<FileProblem> verify_files(const std::string& folder, const std::vector<FileHash>& files,
                                      const std::vector<std::string>& besides,
                                      const ProgressCallback& callback) {
  std::int64_t total = 0;
  for (const FileHash& file : files) {
    check_path(file.path);
    total += std::max<std::int64_t>(file.bytes, 0);
  }
  std::vector<FileProblem> problems;
  Progress progress(callback, total);
  for (const FileHash& file : files) {
    std::string reason = compare(fs::path(folder) / file.path, file, progress);
    if (!reason.empty()) problems.push_back({file.path, std::move(reason)});
  }
  try {
    find_others(folder, files, besides, problems);
  } catch (const Error& error) {
    problems.push_back({"", error.what()});
  } catch (const fs::filesystem_error& error) {
    base::fail_at(ErrorCode::kIo, folder, "", error.code().message());
  }
  return problems;
}

std::vector<FileProblem> verify_folder(const std::string& folder,
                                       const ProgressCallback& callback) {
  for (const char* name : kDescriptions) {
    const fs::path path = fs::path(folder) / name;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    try {
      const Json json =
          Json::parse(base::read_file(path.string(), store::kMaxInfoBytes), path.string());
      json.as_object(path.string());
      if (const Json* files = json.find("files"))
        return verify_files(folder, read_list(*files, path.string() + ": files"), {name}, callback);
      return verify_whole(folder, store::text_member(json, "sha256"), callback);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidArgument) throw;
      throw Error(ErrorCode::kCorruptData, error.what(), error.where());
    } catch (const fs::filesystem_error& error) {
      base::fail_at(ErrorCode::kIo, folder, "", error.code().message());
    }
  }
  base::fail_at(ErrorCode::kNotFound, folder, "has nothing to compare its files with (expected ",
                kDescriptions[0], " or ", kDescriptions[1], ")");
}

std::vector<FileProblem> ModelStore::verify(const std::string& name,
                                            const ProgressCallback& progress) const {
  const std::optional<StoredModel> model = find(name);
  if (!model) {
    const std::optional<std::string> meant = nearest(name);
    base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", name,
                    " is not in the store ", root_,
                    meant ? base::cat("; did you mean ", *meant, "?") : "");
  }
  const fs::path folder =
      store::model_folder(root_, store::parse_name(model->name)) / model->version;
  return verify_folder(folder.string(), progress);
}

}  // namespace openllm
