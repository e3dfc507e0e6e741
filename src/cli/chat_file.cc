#include "cli/chat_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/json_setting.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

bool is_chat(const base::Json& json) { return json.is_array() || json.find("messages") != nullptr; }

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

void write_new_file(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool is_written = fd >= 0;
  while (is_written && !text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n > 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else {
      is_written = n < 0 && errno == EINTR;
    }
  }
  is_written = is_written && ::fsync(fd) == 0;
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  if (is_written) return;
  if (fd >= 0) ::unlink(path.c_str());
  base::fail_at(ErrorCode::kIo, path, "cannot be written: ", std::strerror(reason));
}

}  // namespace

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}

void save_chat(const std::string& path, const base::Json& chat) {
  if (exists(path)) {
    try {
      load_chat(path);
    } catch (const Error&) {
      base::fail_at(ErrorCode::kInvalidArgument, path,
                    "is there already and is no saved chat (expected a new name)");
    }
  }
  replace_file(path, chat.dump() + "\n");
}

void replace_file(const std::string& path, std::string_view text) {
  const std::string draft = base::cat(path, ".", ::getpid(), ".tmp");
  write_new_file(draft, text);
  if (std::rename(draft.c_str(), path.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(draft.c_str());
  base::fail_at(ErrorCode::kIo, path, "cannot be written: ", std::strerror(reason));
}

base::Json load_chat(const std::string& path) {
  base::Json chat = base::parse_setting(read_text_file(path), path);
  if (!is_chat(chat)) {
    base::fail_at(ErrorCode::kInvalidArgument, path,
                  "is no saved chat (expected JSON with \"messages\")");
  }
  return chat;
}

}  // namespace openllm::cli
