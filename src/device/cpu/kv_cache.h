#pragma once

#include <cstdint>
#include <vector>

#include "device/cpu/memory.h"
#include "device/device.h"
#include "kernels/kernels.h"

namespace openllm::device::cpu {

constexpr int kMaxHeadDim = 1024;  ///< Attention keeps a tile's sums on the stack.

/// Per layer of states: [block][floats]. Else: [block][KV head]{keys [head_dim][lanes], values
/// [block_size][value_dim lanes]}; lanes are padded to 16, of int8 and int16 the scales follow, and
/// int16 lie in pairs (kernels::AttentionArgs).
class CpuKvCache final : public KvCache {
 public:
  explicit CpuKvCache(const KvCacheSpec& spec);

  struct Layout {
    std::int64_t key_bytes = 0;  ///< Of one head in one block.
    std::int64_t value_bytes = 0;
    std::int64_t block_bytes = 0;
  };
  struct Layer : Layout {
    KvLayerSpec spec{};
    AlignedMemory memory{};
  };
  static Layout plan(const KvLayerSpec& layer, KvType type, int block_size) noexcept;
  const Layer& layer(int i) const { return layers_[static_cast<std::size_t>(i)]; }
  Layer& layer(int i) { return layers_[static_cast<std::size_t>(i)]; }
  int block_size() const noexcept { return block_size_; }
  kernels::KvFormat format() const noexcept { return format_; }

  float* state(int layer_index, std::int32_t block) {
    Layer& of = layer(layer_index);
    return reinterpret_cast<float*>(of.memory.data() + block * of.block_bytes);
  }

  /// Stores one token's keys [n_kv_heads * head_dim] and values [n_kv_heads * value_dim].
  void write(int layer, std::int32_t block, int slot, const float* k, const float* v,
             const kernels::Kernels& kernels);

  /// In every layer of the group.
  void copy_block(int group, std::int32_t from, std::int32_t to) noexcept;

 private:
  void write_keys(unsigned char* keys, int slot, const float* k, std::int64_t dim,
                  const kernels::Kernels& kernels) const;
  void write_values(unsigned char* values, int slot, const float* v, std::int64_t dim,
                    const kernels::Kernels& kernels) const;

  int block_size_ = 0;
  kernels::KvFormat format_ = kernels::KvFormat::kF32;
  std::vector<Layer> layers_{};
};

}  // namespace openllm::device::cpu
