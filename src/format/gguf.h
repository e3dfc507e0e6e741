#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "format/checkpoint.h"

namespace openllm::format {

/// GGUF v2 and v3, little endian (ggml docs/gguf.md). Opening checks every length, offset and count
/// against the file.
class Gguf final : public Checkpoint {
 public:
  explicit Gguf(const std::string& path);
  ~Gguf() override;

  Kind kind() const noexcept override { return Kind::kGguf; }
  const std::string& path() const noexcept override;
  const base::Json& config() const noexcept override;
  const std::vector<NamedTensor>& tensors() const noexcept override;
  const std::vector<UnreadableTensor>& unreadable() const noexcept override;
  void drop_pages(const tensor::TensorView& view) const noexcept override;

  /// Metadata arrays of any length. nullopt when absent; kCorruptData when present with another
  /// element type.
  std::optional<std::vector<std::string_view>> string_array(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> int_array(
      std::string_view key) const;  ///< Any integer type or bool.
  std::optional<std::vector<float>> float_array(std::string_view key) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::format
