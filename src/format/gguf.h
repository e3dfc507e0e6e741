#pragma once

#include <memory>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "format/gguf_metadata.h"

namespace openllm::format {

/// GGUF v2 and v3, little endian (ggml docs/gguf.md). Opening checks every length, offset and count
/// against the file.
class Gguf final : public Checkpoint {
 public:
  explicit Gguf(const std::string& path);
  /// The same of a file whose metadata has been read already.
  explicit Gguf(std::shared_ptr<const GgufMetadata> metadata);
  ~Gguf() override;

  Kind kind() const noexcept override { return Kind::kGguf; }
  const std::string& path() const noexcept override;
  const base::Json& config() const noexcept override;
  const std::vector<NamedTensor>& tensors() const noexcept override;
  const std::vector<UnreadableTensor>& unreadable() const noexcept override;
  /// What the tensors' bytes lie in, but for those that were made of them.
  std::vector<const base::MappedFile*> files() const;
  void drop_pages(const tensor::TensorView& view) const noexcept override;
  const GgufMetadata& metadata() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::format
