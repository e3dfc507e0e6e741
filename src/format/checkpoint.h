#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "format/locate.h"
#include "tensor/tensor_view.h"

namespace openllm::format {

struct NamedTensor {
  std::string name;
  tensor::TensorView view;
};

/// A tensor that is in the file but that this build cannot read: an element type or a rank it does
/// not know.
struct UnreadableTensor {
  std::string name;
  std::string reason;  ///< "type IQ2_XXS (16) is not supported"
};

/// A model on disk, whatever its file format: named tensors and a configuration.
/// Thread safety: const methods from any thread. Views stay valid as long as the checkpoint.
class Checkpoint {
 public:
  using Kind = Layout;

  virtual ~Checkpoint() = default;
  virtual Kind kind() const noexcept = 0;
  /// Folder or file.
  virtual const std::string& path() const noexcept = 0;
  /// kHuggingFace: config.json. kGguf: one member per metadata key ("llama.block_count": 30);
  /// arrays longer than 256 elements are left out (read those through Gguf).
  virtual const base::Json& config() const noexcept = 0;
  /// Sorted by name, names unique. bytes.size() always fits dtype and shape.
  virtual const std::vector<NamedTensor>& tensors() const noexcept = 0;
  /// Sorted by name; not in tensors(). A model may ignore them; asking for one is the error.
  virtual const std::vector<UnreadableTensor>& unreadable() const noexcept;
  /// Null when absent. Throws kUnsupported naming file, tensor and reason when it is unreadable.
  const tensor::TensorView* find(std::string_view name) const;
  /// The kernel may drop these bytes from memory; they stay readable.
  virtual void drop_pages(const tensor::TensorView& view) const noexcept = 0;
};

/// Opens the weights of the model that `locate_model` finds: GGUF, or beside config.json
/// safetensors, or else files of torch.save, Flax or TensorFlow. Throws kNotFound, kUnsupported or
/// kCorruptData naming file and place.
std::unique_ptr<Checkpoint> open_checkpoint(const std::string& path);

/// Opens an adapter: a folder as peft writes it, adapter_config.json beside
/// adapter_model.safetensors or adapter_model.bin, or a GGUF file. Throws as open_checkpoint.
std::unique_ptr<Checkpoint> open_adapter(const std::string& path);

}  // namespace openllm::format
