#include "device/cpu/kv_cache.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace openllm::device::cpu {

namespace {

std::int64_t lanes(std::int64_t n) { return (n + 15) / 16 * 16; }

void check_spec(const KvCacheSpec& spec) {
  if (spec.block_size < 1) {
    base::fail(ErrorCode::kInvalidArgument, "kv cache: bad block size (got ", spec.block_size, ")");
  }
  for (const KvLayerSpec& layer : spec.layers) {
    const int largest = std::max(layer.head_dim, layer.value_dim);
    if (std::min(layer.head_dim, layer.value_dim) < 1 || largest > kMaxHeadDim ||
        layer.n_kv_heads < 1) {
      base::fail(ErrorCode::kUnsupported, "kv cache: bad head size (expected 1 to ", kMaxHeadDim,
                 ", got ", largest, ")");
    }
    if (layer.group == KvLayerSpec::kOwnRows) continue;
    if (layer.group < 0 || static_cast<std::size_t>(layer.group) >= spec.blocks_per_group.size() ||
        spec.blocks_per_group[static_cast<std::size_t>(layer.group)] < 0) {
      base::fail(ErrorCode::kInternal, "kv cache: a layer names a group that is not there");
    }
  }
}

}  // namespace

CpuKvCache::CpuKvCache(const KvCacheSpec& spec) : block_size_(spec.block_size), f16_(spec.f16) {
  check_spec(spec);
  const std::int64_t element = f16_ ? 2 : 4;
  layers_.reserve(spec.layers.size());
  for (const KvLayerSpec& layer_spec : spec.layers) {
    Layer layer;
    layer.spec = layer_spec;
    layer.key_bytes = layer_spec.head_dim * lanes(block_size_) * element;
    layer.value_bytes = block_size_ * lanes(layer_spec.value_dim) * element;
    layer.block_bytes = layer_spec.n_kv_heads * (layer.key_bytes + layer.value_bytes);
    const std::int64_t n_blocks =
        layer_spec.group == KvLayerSpec::kOwnRows
            ? spec.n_own_blocks
            : spec.blocks_per_group[static_cast<std::size_t>(layer_spec.group)];
    layer.memory = AlignedMemory(static_cast<std::size_t>(n_blocks * layer.block_bytes));
    layers_.push_back(std::move(layer));
  }
}

void CpuKvCache::write(int layer_index, std::int32_t block, int slot, const float* k,
                       const float* v, const kernels::Kernels& kernels) {
  Layer& to = layer(layer_index);
  const std::int64_t dim = to.spec.head_dim;
  const std::int64_t value_dim = to.spec.value_dim;
  const std::int64_t stride = lanes(block_size_);
  for (int h = 0; h < to.spec.n_kv_heads; ++h, k += dim, v += value_dim) {
    unsigned char* keys =
        to.memory.data() + block * to.block_bytes + h * (to.key_bytes + to.value_bytes);
    unsigned char* values = keys + to.key_bytes;
    if (f16_) {
      std::array<std::uint16_t, kMaxHeadDim> halves{};
      kernels.to_f16(k, dim, halves.data());
      auto* to_k = reinterpret_cast<std::uint16_t*>(keys) + slot;
      for (std::int64_t d = 0; d < dim; ++d) to_k[d * stride] = halves[static_cast<std::size_t>(d)];
      kernels.to_f16(v, value_dim,
                     reinterpret_cast<std::uint16_t*>(values) + slot * lanes(value_dim));
    } else {
      auto* to_k = reinterpret_cast<float*>(keys) + slot;
      for (std::int64_t d = 0; d < dim; ++d) to_k[d * stride] = k[d];
      std::memcpy(reinterpret_cast<float*>(values) + slot * lanes(value_dim), v,
                  static_cast<std::size_t>(value_dim) * sizeof(float));
    }
  }
}

}  // namespace openllm::device::cpu
