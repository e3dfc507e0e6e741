#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "format/checkpoint.h"
#include "format/tensor_list.h"

namespace openllm::format {

/// Names of a folder's files.
struct FolderNames {
  const char* config;
  const char* weights;
  const char* index;  ///< Null: the weights are never split.
};
inline constexpr FolderNames kModelFolder{"config.json", "model.safetensors",
                                          "model.safetensors.index.json"};
/// The same as torch.save writes it.
inline constexpr FolderNames kPytorchFolder{"config.json", "pytorch_model.bin",
                                            "pytorch_model.bin.index.json"};
/// As Flax models of transformers 4 are saved.
inline constexpr FolderNames kFlaxFolder{"config.json", "flax_model.msgpack",
                                         "flax_model.msgpack.index.json"};
/// As its TensorFlow models are.
inline constexpr FolderNames kTensorflowFolder{"config.json", "tf_model.h5",
                                               "tf_model.h5.index.json"};
/// As peft writes it.
inline constexpr FolderNames kAdapterFolder{"adapter_config.json", "adapter_model.safetensors",
                                            nullptr};
inline constexpr FolderNames kPytorchAdapterFolder{"adapter_config.json", "adapter_model.bin",
                                                   nullptr};

/// A folder in Hugging Face layout: config.json beside model.safetensors, or beside the files that
/// model.safetensors.index.json lists; an adapter's folder has other names, and so has one with
/// files of torch.save, Flax or TensorFlow.
class HfFolder final : public Checkpoint {
 public:
  explicit HfFolder(const std::string& path, const FolderNames& names = kModelFolder);

  static bool has_config(const std::string& path);
  /// config.json as a JSON object. Throws kNotFound or kCorruptData.
  static base::Json read_config(const std::string& path);
  /// True when the folder has a config.json and weights this class reads.
  static bool looks_like_one(const std::string& path);
  /// The names of a model's folder: those of safetensors where it has such files or none at all,
  /// else PyTorch's, Flax's or TensorFlow's, in this order.
  static const FolderNames& names_in(const std::string& path);
  /// Likewise of an adapter's folder.
  static const FolderNames& adapter_names_in(const std::string& path);

  Kind kind() const noexcept override { return Kind::kHuggingFace; }
  const std::string& path() const noexcept override { return path_; }
  const base::Json& config() const noexcept override { return config_; }
  const std::vector<NamedTensor>& tensors() const noexcept override { return tensors_.readable; }
  const std::vector<UnreadableTensor>& unreadable() const noexcept override {
    return tensors_.unreadable;
  }
  /// What the tensors' bytes lie in, but for those that were made of them.
  std::vector<const base::MappedFile*> files() const;
  void drop_pages(const tensor::TensorView& view) const noexcept override;

 private:
  void open_sharded(const std::string& index_path);
  void parse(const std::string& path, std::span<const std::byte> file, bool is_part,
             TensorList& tensors);

  std::string path_;
  const FolderNames& names_;
  base::Json config_;
  std::vector<base::MappedFile> files_;
  std::vector<std::vector<std::byte>> made_;  ///< Tensors whose elements lie otherwise.
  TensorList tensors_;
};

}  // namespace openllm::format
