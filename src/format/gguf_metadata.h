#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"

namespace openllm::format {

namespace gguf {
struct Header;
}

/// Configuration and vocabulary of a GGUF model, read without its tensors. The file stays mapped.
/// Thread safety: const methods from any thread.
class GgufMetadata {
 public:
  /// `path`: the file, or any file of a split model, whose first one has the metadata. Throws as
  /// Gguf.
  explicit GgufMetadata(const std::string& path);
  ~GgufMetadata();
  GgufMetadata(const GgufMetadata&) = delete;
  GgufMetadata& operator=(const GgufMetadata&) = delete;

  /// As given.
  const std::string& path() const noexcept;
  /// Every file of the model, in order.
  const std::vector<std::string>& files() const noexcept;
  /// The first of them, and where its metadata lies in it.
  const base::MappedFile& file() const noexcept;
  const gguf::Header& header() const noexcept;
  /// One member per key ("llama.block_count": 30); without the arrays of more than 256 elements.
  const base::Json& config() const noexcept;

  /// Arrays of any length. nullopt when absent; kCorruptData when present with another element
  /// type. The views point into the mapped file.
  std::optional<std::vector<std::string_view>> string_array(std::string_view key) const;
  /// Of any integer type, or of bool.
  std::optional<std::vector<std::int64_t>> int_array(std::string_view key) const;
  std::optional<std::vector<float>> float_array(std::string_view key) const;
  /// Number of elements, whatever their type; nullopt when absent or not an array.
  std::optional<std::uint64_t> array_length(std::string_view key) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::format
