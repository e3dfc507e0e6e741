#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/function_ref.h"
#include "packed/contents.h"

namespace openllm::packed {

/// body(i) for every i in [0, n), on however many threads; `body` does not throw.
using RunAll = base::FunctionRef<void(std::size_t n, base::FunctionRef<void(std::size_t)> body)>;

/// A packed copy, mapped read-only and shared with every process that has it open; on huge pages
/// where the system has the file on those. It stays usable when the file is deleted. Thread safety:
/// any thread.
class Copy {
 public:
  /// Throws kNotFound, kIo, or kCorruptData or kUnsupported for a file that is not the copy `name`
  /// whole and undamaged. A file with the seal of its writer has its head checked, any other all of
  /// its bytes, and gets the seal then where that is permitted.
  Copy(const std::string& path, const Key& name, RunAll run_all);
  ~Copy();
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  const Contents& contents() const noexcept { return contents_; }
  /// The part of that key and size; empty: none.
  std::span<const std::byte> find(const Key& key, std::size_t n_bytes) const noexcept;

 private:
  void map(const std::string& path, int descriptor, std::size_t n_bytes);
  void check_blocks(const std::string& path, RunAll run_all) const;

  Contents contents_{};
  void* reserved_ = nullptr;  ///< Addresses around the mapping, so that it begins at a huge page.
  std::size_t reserved_bytes_ = 0;
  std::span<const std::byte> bytes_{};
};

/// Only the head of the file. Throws as the constructor.
Contents read_contents(const std::string& path);

/// Marks a file as one whose bytes are what its head says: by its time of change, which every later
/// writing moves. False where that is not permitted.
bool seal(int descriptor, const Contents& contents) noexcept;
bool is_sealed(int descriptor, const Contents& contents) noexcept;

}  // namespace openllm::packed
