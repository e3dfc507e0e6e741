#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/device.h"
#include "format/checkpoint.h"
#include "kv/kv_spec.h"
#include "model/adapters/adapter_source.h"
#include "model/adapters/mounted_adapter.h"
#include "model/blocks/model_spec.h"

namespace openllm::model {

struct ModelOptions {
  int max_rows = 512;        ///< Most rows of one forward call; sizes the buffers.
  int max_output_rows = 64;  ///< Most rows whose logits one call may ask for.
  /// Most sequences of one forward call, which sizes what layers that see whole sequences keep; 0:
  /// as many as rows.
  int max_sequences = 0;
  device::KvType kv_type = device::KvType::kF32;
  int kv_block_size = 32;
  /// Rounds the weights to this type; unset: they stay as they are. Not for quantised ones.
  std::optional<tensor::DType> weight_type{};
  /// Quantises matrices while loading, whatever type they have: Q8_0, Q4_1 (tables of embeddings
  /// and heads: Q8_0) or E4M3By32.
  std::optional<tensor::DType> quantise_to{};
  std::function<void(double)> progress{};  ///< Fraction of weights loaded.
};

/// A network on a device. Knows the order of operations, nothing of requests.
/// Thread safety: one thread at a time, but for adapters.
class Model {
 public:
  /// Loads every weight. Throws kUnsupported for an unknown architecture, kCorruptData for a
  /// missing, surplus or wrongly shaped tensor. The device must outlive the model; the checkpoint
  /// is not needed afterwards.
  static std::unique_ptr<Model> load(const format::Checkpoint& checkpoint, device::Device& device,
                                     const ModelOptions& options);
  virtual ~Model() = default;

  virtual const ModelSpec& spec() const noexcept = 0;
  virtual std::int64_t n_parameters() const noexcept = 0;
  /// Of these, in experts that a token does not go to.
  virtual std::int64_t n_idle_parameters() const noexcept = 0;
  /// Bytes of weights that one decoding step reads.
  virtual std::size_t weight_bytes() const noexcept = 0;
  /// Bytes of memory that it takes at most, all weights and buffers, without the KV cache.
  virtual std::size_t memory_bytes() const noexcept = 0;
  /// Which layers share a block table, and what a token costs in each.
  virtual const std::vector<kv::KvGroupSpec>& kv_groups() const noexcept = 0;
  /// Makes the KV cache; called once, before the first forward.
  virtual void allocate_kv(const std::vector<int>& blocks_per_group) = 0;
  /// Computes the step's rows, writes their keys and values, and gives the results it asks for,
  /// valid until the next call. Throws kInvalidArgument for ids or sizes out of range.
  virtual step::Outputs forward(const step::Step& step) = 0;
  /// Of classifiers; else null.
  virtual const PooledHead* pooled_head() const noexcept = 0;

  /// Brings an adapter to the device; the source is not needed afterwards. At any time on any
  /// thread. Throws kInvalidArgument naming the tensor that does not fit the model, kUnsupported
  /// for a module that cannot have an adapter.
  virtual std::shared_ptr<const MountedAdapter> prepare_adapter(
      const AdapterSource& source) const = 0;
  /// The sum of some adapters, to be mounted; on any thread. Throws kUnsupported where there is
  /// none.
  virtual std::unique_ptr<const AdapterMix> mix_adapters(
      const std::vector<AdapterPart>& parts) const = 0;
  /// Makes a sum usable by the rows of steps that name `id` (step::SequenceRows::adapter), > 0 and
  /// not in use. KV caches know adapters by id: that of an unmounted one must not go to a different
  /// one. This and the next on any thread, also beside a step that does not name it.
  virtual void mount_adapter(int id, std::unique_ptr<const AdapterMix> mix) = 0;
  /// Frees what only that sum has. Throws kNotFound when none has that id.
  virtual void unmount_adapter(int id) = 0;
};

/// Reads only the configuration: what `load` would make of this checkpoint. Throws as `load`.
ModelSpec read_spec(const format::Checkpoint& checkpoint);
/// Parts of the file that `load` would leave out, by their names in it ("vision_tower"). Throws as
/// `load`.
std::vector<std::string> left_out_parts(const format::Checkpoint& checkpoint);
/// Names of the supported families, for messages and docs.
std::vector<std::string> architectures();

}  // namespace openllm::model
