#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>

namespace openllm::hub {

/// Holds an advisory lock on a file (flock, as huggingface_hub does), making it and its folders.
/// The lock ends with the object or the process.
class LockFile {
 public:
  /// Alone, or beside others that share it.
  enum class Kind { kExclusive, kShared };
  /// Waits for it; `on_wait` is called once if somebody else has it. Throws kCancelled when a stop
  /// is requested meanwhile, kIo.
  LockFile(const std::filesystem::path& path, const std::stop_token& stop,
           Kind kind = Kind::kExclusive, const std::function<void()>& on_wait = {});
  /// Alone, without waiting; null when another process, or another object of this one, has it.
  /// Throws kIo.
  static std::unique_ptr<LockFile> take_free(const std::filesystem::path& path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  LockFile() = default;
  void open(const std::filesystem::path& path);
  bool try_lock(const std::filesystem::path& path, int operation);

  int fd_ = -1;
};

/// Somebody has a lock on this file; it need not be there.
bool is_locked(const std::filesystem::path& path);

}  // namespace openllm::hub
