#include "store/import.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "format/locate.h"
#include "format/recognise.h"
#include "format/split_name.h"
#include "store/sha256.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 10000;
constexpr std::size_t kCopyBytes = std::size_t{1} << 20U;

/// A file descriptor that closes itself.
class File {
 public:
  File(const fs::path& path, int flags)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail("cannot open");
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::size_t read(char* data, std::size_t size) const {
    for (;;) {
      const ssize_t n = ::read(fd_, data, size);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) fail("cannot read");
    }
  }
  void write(const char* data, std::size_t size) const {
    while (size > 0) {
      const ssize_t n = ::write(fd_, data, size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("cannot write");
      data += n;
      size -= static_cast<std::size_t>(n);
    }
  }
  void sync() const {
    if (::fsync(fd_) != 0) fail("cannot flush");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    const ErrorCode code = errno == ENOSPC ? ErrorCode::kResourceExhausted : ErrorCode::kIo;
    base::fail(code, path_.string(), ": ", what, ": ", std::strerror(errno));
  }
  fs::path path_;
  int fd_;
};

/// Names of all files of the model that `name` is a file of.
std::vector<std::string> split_parts(const std::string& name) {
  const std::optional<format::SplitName> split = format::parse_split_name(name);
  if (!split || split->count < 1) return {name};
  std::vector<std::string> parts;
  for (int i = 1; i <= split->count; ++i) parts.push_back(split->at(i));
  return parts;
}

Source inspect_file(const fs::path& path) {
  if (!format::starts_with_gguf_magic(path.string())) {
    base::fail_at(ErrorCode::kInvalidArgument, path.string(),
                  "not a model (expected a folder or a GGUF file)",
                  format::note_what_it_is(path.string()));
  }
  Source source{.format = "gguf"};
  for (const std::string& name : split_parts(path.filename().string())) {
    const fs::path part = path.parent_path() / name;
    if (!fs::is_regular_file(part))
      base::fail_at(ErrorCode::kNotFound, part.string(), "part of a split model is missing");
    source.files.push_back({part, name});
  }
  source.file = source.files.front().to.string();
  return source;
}

/// Regular files below `folder`, links followed for files but not for folders, hidden ones left
/// out.
void collect(const fs::path& folder, const fs::path& prefix, int depth,
             std::vector<SourceFile>& out) {
  if (depth > 4)
    base::fail_at(ErrorCode::kInvalidArgument, folder.string(),
                  "folders nested too deeply for a model");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    if (entry.is_directory() && !entry.is_symlink()) {
      collect(entry.path(), prefix / name, depth + 1, out);
    } else if (entry.is_regular_file()) {
      if (prefix.empty() && name == "model.json") continue;  // the store's own
      out.push_back({entry.path(), prefix / name});
    } else if (entry.is_symlink() && !entry.exists()) {
      base::fail_at(ErrorCode::kNotFound, entry.path().string(), "a link to ",
                    fs::read_symlink(entry.path()).string(), ", which is not there");
    }
    if (out.size() > kMaxFiles)
      base::fail_at(ErrorCode::kInvalidArgument, folder.string(), "too many files for a model");
  }
}

Source inspect_folder(const fs::path& folder) {
  Source source;
  source.files = list_files(folder);
  bool has_config = false;
  bool has_safetensors = false;
  for (const SourceFile& file : source.files) {
    if (file.to.has_parent_path()) continue;
    has_config = has_config || file.to == "config.json";
    has_safetensors = has_safetensors || file.to.extension() == ".safetensors";
  }
  const std::vector<std::string> gguf = format::find_gguf_models(folder.string());
  if (has_config && has_safetensors) {
    source.format = "safetensors";
  } else if (gguf.size() > 1) {
    base::fail_at(ErrorCode::kInvalidArgument, folder.string(), "holds ", gguf.size(),
                  " GGUF models; add one of them: ", gguf[0], ", ", gguf[1],
                  gguf.size() > 2 ? ", ..." : "");
  } else if (gguf.size() == 1) {
    source.format = "gguf";
    source.file = gguf[0];
  } else {
    base::fail_at(ErrorCode::kInvalidArgument, folder.string(),
                  "not a model (expected config.json with .safetensors files, or a GGUF file; ",
                  format::describe_folder(folder.string()), ")");
  }
  return source;
}

/// The SHA-256 of the file, whose pieces go to `use` as well.
template <typename Use>
FileHash read_and_hash(const SourceFile& file, const Use& use) {
  const File in(file.from, O_RDONLY);
  const auto buffer = std::make_unique<char[]>(kCopyBytes);
  Sha256 hash;
  FileHash read{.path = file.to.string()};
  while (const std::size_t n = in.read(buffer.get(), kCopyBytes)) {
    hash.update(buffer.get(), n);
    use(buffer.get(), n);
    read.bytes += static_cast<std::int64_t>(n);
  }
  read.sha256 = hash.hex();
  return read;
}

FileHash copy_file(const SourceFile& file, const fs::path& folder) {
  const fs::path target = folder / file.to;
  fs::create_directories(target.parent_path());
  const File out(target, O_WRONLY | O_CREAT | O_EXCL);
  const FileHash copied =
      read_and_hash(file, [&](const char* data, std::size_t n) { out.write(data, n); });
  out.sync();
  return copied;
}

}  // namespace

Source inspect(const fs::path& path) {
  try {
    if (!fs::exists(path))
      base::fail_at(ErrorCode::kNotFound, path.string(), "no such file or folder");
    return fs::is_directory(path) ? inspect_folder(path) : inspect_file(path);
  } catch (const fs::filesystem_error& error) {
    base::fail_at(ErrorCode::kIo, path.string(), "", error.code().message());
  }
}

std::vector<SourceFile> list_files(const fs::path& folder) {
  std::vector<SourceFile> files;
  collect(folder, {}, 0, files);
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.to < b.to; });
  return files;
}

std::string hash_of_all(const std::vector<FileHash>& files) {
  if (files.size() == 1) return files.front().sha256;
  Sha256 all;
  for (const FileHash& file : files) all.update(file.sha256 + "  " + file.path + "\n");
  return all.hex();
}

Copied copy_files(const Source& source, const fs::path& folder) {
  try {
    Copied result;
    for (const SourceFile& file : source.files) {
      result.files.push_back(copy_file(file, folder));
      result.bytes += result.files.back().bytes;
    }
    result.sha256 = hash_of_all(result.files);
    return result;
  } catch (const fs::filesystem_error& error) {
    base::fail_at(ErrorCode::kIo, error.path1().string(), "", error.code().message());
  }
}

std::string hash_model(const fs::path& path) {
  std::vector<FileHash> files;
  for (const SourceFile& file : inspect(path).files)
    files.push_back(read_and_hash(file, [](const char* /*data*/, std::size_t /*n*/) {}));
  return hash_of_all(files);
}

void write_file(const fs::path& path, const std::string& text) {
  const File out(path, O_WRONLY | O_CREAT | O_TRUNC);
  out.write(text.data(), text.size());
  out.sync();
}

}  // namespace openllm::store
