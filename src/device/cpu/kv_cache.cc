#include "device/cpu/kv_cache.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace openllm::device::cpu {

namespace {

using kernels::KvFormat;

std::int64_t lanes(std::int64_t n) { return (n + 15) / 16 * 16; }

KvFormat format_of(KvType type) {
  switch (type) {
    case KvType::kF32:
      return KvFormat::kF32;
    case KvType::kF16:
      return KvFormat::kF16;
    case KvType::kInt8:
      return KvFormat::kI8;
    case KvType::kInt16:
      return KvFormat::kI16;
  }
  return KvFormat::kF32;
}

/// Column `slot` of a matrix with rows of `stride`.
template <typename T>
void scatter(const T* from, std::int64_t n, T* to, std::int64_t slot, std::int64_t stride) {
  for (std::int64_t i = 0; i < n; ++i) to[i * stride + slot] = from[i];
}

void check_spec(const KvCacheSpec& spec) {
  if (spec.block_size < 1) {
    base::fail(ErrorCode::kInvalidArgument, "kv cache: bad block size (got ", spec.block_size, ")");
  }
  for (const KvLayerSpec& layer : spec.layers) {
    const int largest = std::max(layer.head_dim, layer.value_dim);
    if (layer.state_floats == 0 && (std::min(layer.head_dim, layer.value_dim) < 1 ||
                                    largest > kMaxHeadDim || layer.n_kv_heads < 1)) {
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

CpuKvCache::Layout CpuKvCache::plan(const KvLayerSpec& layer, KvType type,
                                    int block_size) noexcept {
  if (layer.state_floats > 0) {
    Layout states;
    states.block_bytes = lanes(layer.state_floats) * std::int64_t{sizeof(float)};
    return states;
  }
  const KvFormat format = format_of(type);
  const std::int64_t element = kernels::kv_element_bytes(format);
  const std::int64_t scale = format == KvFormat::kI8 ? sizeof(float) : 0;
  const std::int64_t value_lanes = lanes(layer.value_dim);
  Layout layout;
  if (format == KvFormat::kI16) {  // in pairs
    const std::int64_t scales = lanes(block_size) * std::int64_t{sizeof(float)};
    layout.key_bytes = (layer.head_dim + 1) / 2 * lanes(block_size) * 4 + scales;
    layout.value_bytes = (block_size + 1) / 2 * value_lanes * 4 + scales;
    layout.block_bytes = layer.n_kv_heads * (layout.key_bytes + layout.value_bytes);
    return layout;
  }
  layout.key_bytes = lanes(block_size) *
                     (layer.head_dim * element + kernels::kv_scale_groups(layer.head_dim) * scale);
  layout.value_bytes =
      block_size * (value_lanes * element + kernels::kv_scale_groups(value_lanes) * scale);
  layout.block_bytes = layer.n_kv_heads * (layout.key_bytes + layout.value_bytes);
  return layout;
}

CpuKvCache::CpuKvCache(const KvCacheSpec& spec)
    : block_size_(spec.block_size), format_(format_of(spec.type)) {
  check_spec(spec);
  layers_.reserve(spec.layers.size());
  for (const KvLayerSpec& layer_spec : spec.layers) {
    Layer layer;
    static_cast<Layout&>(layer) = plan(layer_spec, spec.type, block_size_);
    layer.spec = layer_spec;
    const std::int64_t n_blocks =
        layer_spec.group == KvLayerSpec::kOwnRows
            ? spec.n_own_blocks
            : spec.blocks_per_group[static_cast<std::size_t>(layer_spec.group)];
    layer.memory =
        AlignedMemory(static_cast<std::size_t>(n_blocks * layer.block_bytes), Pages::kSmall);
    layers_.push_back(std::move(layer));
  }
}

void CpuKvCache::write(int layer_index, std::int32_t block, int slot, const float* k,
                       const float* v, const kernels::Kernels& kernels) {
  Layer& to = layer(layer_index);
  unsigned char* head = to.memory.data() + block * to.block_bytes;
  for (int h = 0; h < to.spec.n_kv_heads; ++h) {
    write_keys(head, slot, k + h * to.spec.head_dim, to.spec.head_dim, kernels);
    write_values(head + to.key_bytes, slot, v + h * to.spec.value_dim, to.spec.value_dim, kernels);
    head += to.key_bytes + to.value_bytes;
  }
}

void CpuKvCache::copy_block(int group, std::int32_t from, std::int32_t to) noexcept {
  for (Layer& layer : layers_) {
    if (layer.spec.group != group || from == to) continue;
    std::memcpy(layer.memory.data() + to * layer.block_bytes,
                layer.memory.data() + from * layer.block_bytes,
                static_cast<std::size_t>(layer.block_bytes));
  }
}

void CpuKvCache::write_keys(unsigned char* keys, int slot, const float* k, std::int64_t dim,
                            const kernels::Kernels& kernels) const {
  const std::int64_t stride = lanes(block_size_);
  if (format_ == KvFormat::kF32) {
    scatter(k, dim, reinterpret_cast<float*>(keys), slot, stride);
  } else if (format_ == KvFormat::kF16) {
    std::array<std::uint16_t, kMaxHeadDim> halves;
    kernels.to_f16(k, dim, halves.data());
    scatter(halves.data(), dim, reinterpret_cast<std::uint16_t*>(keys), slot, stride);
  } else if (format_ == KvFormat::kI16) {
    std::array<std::int16_t, kMaxHeadDim + 1> codes;
    const std::int64_t n_pairs = (dim + 1) / 2;
    auto* const pairs = reinterpret_cast<std::int16_t*>(keys) + 2 * slot;
    auto* const scales = reinterpret_cast<float*>(keys + 4 * n_pairs * stride);
    scales[slot] = kernels.to_i16(k, dim, kernels::kMostNorm, codes.data());
    codes[static_cast<std::size_t>(dim)] = 0;  // of an odd number
    for (std::int64_t i = 0; i < n_pairs; ++i)
      std::memcpy(pairs + 2 * i * stride, codes.data() + 2 * i, 2 * sizeof(std::int16_t));
  } else {
    std::array<std::int8_t, kMaxHeadDim> codes;
    std::array<float, kMaxHeadDim / kernels::kKvScaleGroup> scales;
    kernels.to_i8(k, dim, codes.data(), scales.data());
    scatter(codes.data(), dim, reinterpret_cast<std::int8_t*>(keys), slot, stride);
    scatter(scales.data(), kernels::kv_scale_groups(dim),
            reinterpret_cast<float*>(keys + dim * stride), slot, stride);
  }
}

void CpuKvCache::write_values(unsigned char* values, int slot, const float* v, std::int64_t dim,
                              const kernels::Kernels& kernels) const {
  const std::int64_t stride = lanes(dim);
  unsigned char* const to = values + slot * stride * kernels::kv_element_bytes(format_);
  if (format_ == KvFormat::kF32) {
    std::memcpy(to, v, static_cast<std::size_t>(dim) * sizeof(float));
  } else if (format_ == KvFormat::kF16) {
    kernels.to_f16(v, dim, reinterpret_cast<std::uint16_t*>(to));
  } else if (format_ == KvFormat::kI16) {
    std::array<std::int16_t, kMaxHeadDim> codes;
    const std::int64_t n_pairs = (block_size_ + 1) / 2;
    auto* const scales = reinterpret_cast<float*>(values + 4 * n_pairs * stride);
    scales[slot] = kernels.to_i16(v, dim, 0.0F, codes.data());
    auto* const pairs = reinterpret_cast<std::int16_t*>(values) + slot / 2 * 2 * stride + slot % 2;
    for (std::int64_t i = 0; i < dim; ++i) pairs[2 * i] = codes[static_cast<std::size_t>(i)];
  } else {
    auto* const scales = reinterpret_cast<float*>(values + block_size_ * stride);
    kernels.to_i8(v, dim, reinterpret_cast<std::int8_t*>(to),
                  scales + slot * kernels::kv_scale_groups(stride));
  }
}

}  // namespace openllm::device::cpu
