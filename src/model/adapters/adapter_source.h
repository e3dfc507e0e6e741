#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/checkpoint.h"

namespace openllm::model {

/// Which way round a and b are: those of other modules, or turned: a has the outputs and b the
/// inputs, and a^T b^T is added.
enum class ExpertLayout : std::uint8_t {
  kPlain,
  // Of experts that peft stacks. Their shapes say it, but for square matrices, which are
  kSquarePlain,
  kSquareTurned,
  kSquareDimensions,  ///< turned, unless the base stores its experts [in, out].
  kSquareUnknown,
};

/// What an adapter does to one module.
struct AdapterModule {
  std::string module{};  ///< Its name in the adapter's file format.
  int expert = -1;       ///< Where the module stacks all experts: the one it is for.
  ExpertLayout layout = ExpertLayout::kPlain;
  /// An addition scale * (b (a x) + b_bias): a [rank, n_in], b [n_out, rank].
  std::optional<format::NamedTensor> a{};
  std::optional<format::NamedTensor> b{};
  std::optional<format::NamedTensor> b_bias{};  ///< [n_out]
  bool is_table = false;  ///< The module is an embedding: a is [rank, vocab], b [D, rank],
  bool by_token = false;  ///< or a is [vocab, rank].
  float scale = 1.0F;
  /// Lengths of the rows of weight + scale * b a (DoRA), [n_out].
  std::optional<format::NamedTensor> magnitude{};
  std::optional<format::NamedTensor> weight{};  ///< Instead of the module's own.
  std::optional<format::NamedTensor> bias{};    ///< Likewise.
  std::optional<format::NamedTensor> tokens{};  ///< Rows of an embedding for these tokens:
  std::vector<std::int32_t> token_ids{};        ///< Ascending.

  /// One of its tensors, to name in messages.
  const std::string& tensor_name() const noexcept;
};

/// An adapter as data, before it is known which model it is for.
struct AdapterSource {
  std::string path{};  ///< For messages.
  /// File format whose names and row order the modules have; the base model's may be another one.
  format::Checkpoint::Kind naming = format::Checkpoint::Kind::kHuggingFace;
  std::vector<AdapterModule> modules{};
  /// Memory of tensors that are not in the file as they are.
  std::vector<std::shared_ptr<const std::vector<std::byte>>> made{};
};

/// Reads an adapter's folder or GGUF file (format::open_adapter); the tensors are views into it.
/// Total: a setting or a tensor that changes the numbers in a way that is unknown here is
/// kUnsupported and named; what contradicts itself is kCorruptData.
AdapterSource read_adapter(const format::Checkpoint& checkpoint);

/// The same of either kind of file.
AdapterSource read_peft_adapter(const format::Checkpoint& checkpoint);
AdapterSource read_gguf_adapter(const format::Checkpoint& checkpoint);

}  // namespace openllm::model
