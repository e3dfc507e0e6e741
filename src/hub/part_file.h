#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace openllm::hub {

/// A range of a file, and how far it has come: [begin, done) is there, [done, end) is not.
struct Part {
  std::int64_t begin = 0;
  std::int64_t done = 0;
  std::int64_t end = 0;
};

/// A file that is being downloaded in parts: `<target>.openllm.incomplete`, and beside it in
/// `<target>.openllm.parts` how far each part has come, so that a later process goes on where this
/// one ended. What is told to be there has been written; whether it is right, the digest tells.
/// Thread safety: `write` from several threads, each at another part.
class PartFile {
 public:
  /// Goes on with what an earlier one left for a file of this size, else begins. Throws kIo,
  /// kResourceExhausted for a full disk. At most 2^20 parts. `version`: at most 8 characters that
  /// tell another content of the same size from this one, none if a digest will.
  PartFile(const std::filesystem::path& target, std::int64_t size, std::int64_t part_size,
           std::string version = {});
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  std::int64_t size() const noexcept { return size_; }
  std::size_t n_parts() const noexcept { return n_parts_; }
  Part part(std::size_t index) const;
  /// Bytes that are there.
  std::int64_t n_done() const;
  /// Bytes that are there from the first one on.
  std::int64_t n_contiguous() const;

  /// Appends to a part. Throws kIo, kResourceExhausted for a full disk, kCorruptData for more than
  /// the part has room for.
  void write(std::size_t index, std::string_view bytes);
  /// Bytes that are there, to `out`. Throws kIo.
  void read(std::int64_t begin, char* out, std::size_t n) const;
  /// Forgets everything.
  void clear();
  /// Flushes it and gives it its name, for good. Throws kIo.
  void publish();

 private:
  void close() noexcept;
  bool load();
  void begin_anew();
  void save(std::size_t index, const Part& part) const;
  std::string head() const;

  const std::filesystem::path target_;
  const std::filesystem::path data_path_;
  const std::filesystem::path parts_path_;
  const std::int64_t size_;
  const std::int64_t part_size_;
  const std::size_t n_parts_;
  const std::string version_;
  int data_ = -1;
  int record_ = -1;
  mutable base::Mutex mutex_;
  std::vector<Part> parts_ GUARDED_BY(mutex_);
};

}  // namespace openllm::hub
