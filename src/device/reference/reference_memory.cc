#include "device/reference/reference_memory.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "device/grouped_rows.h"
#include "device/upload_error.h"

namespace openllm::device {
namespace {

using base::fail;

constexpr std::size_t kGroup = 32;  // entries of int8 that share a scale
std::size_t groups_of(std::size_t n) { return (n + kGroup - 1) / kGroup; }

/// A part as f32 in the file's own order.
std::vector<float> to_f32(const WeightPart& part) {
  const tensor::TensorView& view = part.view;
  const tensor::DTypeInfo& type = tensor::info(view.dtype);
  if (type.to_f32 == nullptr) {
    fail(ErrorCode::kUnsupported, "tensor ", part.name, ": dtype ", type.name, " holds no weights");
  }
  const std::int64_t n = view.shape.n_elems();
  const std::int64_t inner = view.shape.n_dims() == 0 ? 1 : view.shape[view.shape.n_dims() - 1];
  if (n < 0 || inner % type.block_elems != 0) {
    fail(ErrorCode::kCorruptData, "tensor ", part.name, ": innermost dimension does not fit ",
         type.name, " (expected a multiple of ", type.block_elems, ", got ", inner, ")");
  }
  const auto count = static_cast<std::size_t>(n);
  if (view.bytes.size() < tensor::byte_size(view.dtype, count)) {
    fail(ErrorCode::kCorruptData, "tensor ", part.name, ": too few bytes (expected ",
         tensor::byte_size(view.dtype, count), ", got ", view.bytes.size(), ")");
  }
  std::vector<float> values(count);
  type.to_f32(view.bytes.data(), values.data(), count);
  if (const auto bad = tensor::find_not_finite(view.dtype, view.bytes.data(), count))
    fail_not_finite(part.name, static_cast<std::int64_t>(*bad), values[*bad]);
  return values;
}

struct Matrix {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

Matrix part_shape(const WeightPart& part, WeightRole role) {
  if (part.grouped) return {part.grouped->n_out, part.grouped->n_in};
  const tensor::Shape& shape = part.view.shape;
  if (role == WeightRole::kVector) return {1, shape.n_elems()};
  if (shape.n_dims() != 2) {
    fail(ErrorCode::kCorruptData, "tensor ", part.name,
         ": wrong shape (expected two dimensions, got ", shape.to_string(), ")");
  }
  return part.transposed ? Matrix{shape[1], shape[0]} : Matrix{shape[0], shape[1]};
}

void append_made_rows(const WeightPart& part, Matrix shape, std::vector<float>& out) {
  const auto n = static_cast<std::size_t>(shape.in);
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  std::vector<std::byte> blocks(tensor::byte_size(part.view.dtype, n));
  for (std::int64_t r = 0; r < shape.out; ++r) {
    part.rows->read_row(r, blocks.data());
    out.resize(out.size() + n);
    float* values = out.data() + out.size() - n;
    type.to_f32(blocks.data(), values, n);
    if (const auto bad = tensor::find_not_finite(part.view.dtype, blocks.data(), n))
      fail_not_finite(part.name, r * shape.in + static_cast<std::int64_t>(*bad), values[*bad]);
  }
}

void append_part(const WeightPart& part, Matrix shape, std::vector<float>& out) {
  if (part.rows != nullptr) return append_made_rows(part, shape, out);
  if (part.grouped) {
    const GroupedRows rows(part);
    const std::size_t begin = out.size();
    out.resize(begin + static_cast<std::size_t>(shape.out * shape.in));
    for (std::int64_t r = 0; r < shape.out; ++r) {
      rows.read_row(r, out.data() + begin + static_cast<std::size_t>(r * shape.in));
    }
    return;
  }
  const std::vector<float> values = to_f32(part);
  if (!part.transposed) {
    out.insert(out.end(), values.begin(), values.end());
    return;
  }
  for (std::int64_t r = 0; r < shape.out; ++r) {
    for (std::int64_t c = 0; c < shape.in; ++c)
      out.push_back(values[static_cast<std::size_t>(c * shape.out + r)]);
  }
}

}  // namespace

std::unique_ptr<ReferenceWeight> expand_weight(const WeightSource& source, WeightRole role) {
  base::check(!source.parts.empty(), "device: a weight without parts");
  std::vector<float> values;
  Matrix total{};
  for (const WeightPart& part : source.parts) {
    const Matrix shape = part_shape(part, role);
    if (role == WeightRole::kVector) {
      total = {1, total.in + shape.in};
    } else {
      if (total.out != 0 && shape.in != total.in) {
        fail(ErrorCode::kCorruptData, "tensor ", part.name,
             ": not as wide as the one it is stacked on (expected ", total.in, ", got ", shape.in,
             ")");
      }
      total = {total.out + shape.out, shape.in};
    }
    append_part(part, shape, values);
  }
  return std::make_unique<ReferenceWeight>(total.out, total.in, std::move(values));
}

ReferenceKvCache::ReferenceKvCache(const KvCacheSpec& spec)
    : spec_(spec), layers_(spec.layers.size()) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const KvLayerSpec& layer = spec_.layers[i];
    const auto n_blocks = layer.group == KvLayerSpec::kOwnRows
                              ? spec_.n_own_blocks
                              : spec_.blocks_per_group.at(static_cast<std::size_t>(layer.group));
    if (layer.state_floats > 0) {
      layers_[i].states = ZeroedArray<float>(static_cast<std::size_t>(n_blocks) *
                                             static_cast<std::size_t>(layer.state_floats));
      continue;
    }
    const std::size_t n_rows = static_cast<std::size_t>(n_blocks) *
                               static_cast<std::size_t>(layer.n_kv_heads) *
                               static_cast<std::size_t>(spec_.block_size);
    for (int kv = 0; kv < 2; ++kv) {
      const auto width = static_cast<std::size_t>(kv == 0 ? layer.head_dim : layer.value_dim);
      const std::size_t n = n_rows * width;
      if (spec_.type == KvType::kF16) layers_[i].f16[kv] = ZeroedArray<std::uint16_t>(n);
      if (spec_.type == KvType::kF32) layers_[i].f32[kv] = ZeroedArray<float>(n);
      if (spec_.type == KvType::kInt16) {
        layers_[i].wide_codes[kv] = ZeroedArray<std::int16_t>(n);
        layers_[i].scales[kv] = ZeroedArray<float>(n_rows);
      }
      if (spec_.type == KvType::kInt8) {
        layers_[i].codes[kv] = ZeroedArray<std::int8_t>(n);
        layers_[i].scales[kv] = ZeroedArray<float>(n_rows * groups_of(width));
      }
    }
  }
}

float* ReferenceKvCache::state(int layer, std::int32_t block) noexcept {
  const auto i = static_cast<std::size_t>(layer);
  return &layers_[i].states[static_cast<std::size_t>(block) *
                            static_cast<std::size_t>(spec_.layers[i].state_floats)];
}

std::size_t ReferenceKvCache::token_of(int layer, std::int32_t block, int kv_head,
                                       int offset) const noexcept {
  const KvLayerSpec& spec = spec_.layers[static_cast<std::size_t>(layer)];
  const auto head = static_cast<std::size_t>(block) * static_cast<std::size_t>(spec.n_kv_heads) +
                    static_cast<std::size_t>(kv_head);
  return head * static_cast<std::size_t>(spec_.block_size) + static_cast<std::size_t>(offset);
}

int ReferenceKvCache::dim(int layer, bool is_value) const noexcept {
  const KvLayerSpec& spec = spec_.layers[static_cast<std::size_t>(layer)];
  return is_value ? spec.value_dim : spec.head_dim;
}

void ReferenceKvCache::store_int8(int layer, bool is_value, std::size_t token,
                                  const float* values) noexcept {
  Layer& memory = layers_[static_cast<std::size_t>(layer)];
  const auto n = static_cast<std::size_t>(dim(layer, is_value));
  std::int8_t* codes = &memory.codes[is_value ? 1 : 0][token * n];
  float* scales = &memory.scales[is_value ? 1 : 0][token * groups_of(n)];
  for (std::size_t g = 0; g * kGroup < n; ++g) {
    const std::size_t end = std::min(n, (g + 1) * kGroup);
    float top = 0.0F;
    for (std::size_t i = g * kGroup; i < end; ++i) top = std::max(top, std::fabs(values[i]));
    const bool counts = top > 1e-35F;  // else 127 / top may be infinite
    scales[g] = counts ? top / 127.0F : 0.0F;
    for (std::size_t i = g * kGroup; i < end; ++i) {
      const float code = counts ? std::nearbyint(values[i] * (127.0F / top)) : 0.0F;
      codes[i] = static_cast<std::int8_t>(std::clamp(code, -127.0F, 127.0F));
    }
  }
}

void ReferenceKvCache::store_int16(int layer, bool is_value, std::size_t token,
                                   const float* values) noexcept {
  Layer& memory = layers_[static_cast<std::size_t>(layer)];
  const auto n = static_cast<std::size_t>(dim(layer, is_value));
  std::int16_t* codes = &memory.wide_codes[is_value ? 1 : 0][token * n];
  float& scale = memory.scales[is_value ? 1 : 0][token];
  double top = 0.0;
  double squares = 0.0;
  for (std::size_t d = 0; d < n; ++d) {
    top = std::max(top, std::fabs(double{values[d]}));
    squares += double{values[d]} * double{values[d]};
  }
  // Keys meet queries in products that must fit in 32 bits: their length is bounded as well.
  const double step = std::max(top / 32767.0, is_value ? 0.0 : std::sqrt(squares) / 46000.0);
  scale = top > 1e-35 ? static_cast<float>(step) : 0.0F;
  for (std::size_t d = 0; d < n; ++d) {
    const double code = scale > 0.0F ? std::nearbyint(double{values[d]} / double{scale}) : 0.0;
    codes[d] = std::isfinite(code) ? static_cast<std::int16_t>(std::clamp(code, -32767.0, 32767.0))
                                   : std::int16_t{0};
  }
}

void ReferenceKvCache::store(int layer, bool is_value, std::int32_t block, int kv_head, int offset,
                             const float* values) noexcept {
  Layer& memory = layers_[static_cast<std::size_t>(layer)];
  const auto n = static_cast<std::size_t>(dim(layer, is_value));
  const std::size_t token = token_of(layer, block, kv_head, offset);
  if (spec_.type == KvType::kInt8) return store_int8(layer, is_value, token, values);
  if (spec_.type == KvType::kInt16) return store_int16(layer, is_value, token, values);
  for (std::size_t d = 0; d < n; ++d) {
    if (spec_.type == KvType::kF16) {
      memory.f16[is_value ? 1 : 0][token * n + d] = tensor::f32_to_f16(values[d]);
    } else {
      memory.f32[is_value ? 1 : 0][token * n + d] = values[d];
    }
  }
}

void ReferenceKvCache::copy_block(int group, std::int32_t from, std::int32_t to) noexcept {
  const auto copy = [](auto& array, std::size_t from_begin, std::size_t to_begin, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) array[to_begin + i] = array[from_begin + i];
  };
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const KvLayerSpec& spec = spec_.layers[i];
    if (spec.group != group) continue;
    const int layer = static_cast<int>(i);
    if (spec.state_floats > 0) {
      std::copy_n(state(layer, from), spec.state_floats, state(layer, to));
      continue;
    }
    const std::size_t n_tokens =
        static_cast<std::size_t>(spec.n_kv_heads) * static_cast<std::size_t>(spec_.block_size);
    const std::size_t source = token_of(layer, from, 0, 0);
    const std::size_t target = token_of(layer, to, 0, 0);
    for (const int kv : {0, 1}) {
      const auto n = static_cast<std::size_t>(dim(layer, kv == 1));
      Layer& memory = layers_[i];
      switch (spec_.type) {
        case KvType::kF32:
          copy(memory.f32[kv], source * n, target * n, n_tokens * n);
          break;
        case KvType::kF16:
          copy(memory.f16[kv], source * n, target * n, n_tokens * n);
          break;
        case KvType::kInt8:
          copy(memory.codes[kv], source * n, target * n, n_tokens * n);
          copy(memory.scales[kv], source * groups_of(n), target * groups_of(n),
               n_tokens * groups_of(n));
          break;
        case KvType::kInt16:
          copy(memory.wide_codes[kv], source * n, target * n, n_tokens * n);
          copy(memory.scales[kv], source, target, n_tokens);
          break;
      }
    }
  }
}

void ReferenceKvCache::load(int layer, bool is_value, std::int32_t block, int kv_head, int offset,
                            float* out) const noexcept {
  const Layer& memory = layers_[static_cast<std::size_t>(layer)];
  const int kv = is_value ? 1 : 0;
  const auto n = static_cast<std::size_t>(dim(layer, is_value));
  const std::size_t token = token_of(layer, block, kv_head, offset);
  for (std::size_t d = 0; d < n; ++d) {
    const std::size_t i = token * n + d;
    switch (spec_.type) {
      case KvType::kF32:
        out[d] = memory.f32[kv][i];
        break;
      case KvType::kF16:
        out[d] = tensor::f16_to_f32(memory.f16[kv][i]);
        break;
      case KvType::kInt8:
        out[d] = memory.scales[kv][token * groups_of(n) + d / kGroup] *
                 static_cast<float>(memory.codes[kv][i]);
        break;
      case KvType::kInt16:
        out[d] = memory.scales[kv][token] * static_cast<float>(memory.wide_codes[kv][i]);
        break;
    }
  }
}

}  // namespace openllm::device
