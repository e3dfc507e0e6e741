#include "device/reference/reference_memory.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace openllm::device {
namespace {

using base::fail;

/// A part as f32 in the file's own order.
std::vector<float> to_f32(const tensor::TensorView& view, const std::string& name) {
  const tensor::DTypeInfo& type = tensor::info(view.dtype);
  if (type.to_f32 == nullptr) {
    fail(ErrorCode::kUnsupported, "reference: tensor ", name, ": dtype ", type.name,
         " holds no weights");
  }
  const std::int64_t n = view.shape.n_elems();
  const std::int64_t inner = view.shape.n_dims() == 0 ? 1 : view.shape[view.shape.n_dims() - 1];
  if (n < 0 || inner % type.block_elems != 0) {
    fail(ErrorCode::kCorruptData, "reference: tensor ", name, ": innermost dimension ", inner,
         " is not a multiple of the ", type.name, " block (", type.block_elems, ")");
  }
  const auto count = static_cast<std::size_t>(n);
  if (view.bytes.size() < tensor::byte_size(view.dtype, count)) {
    fail(ErrorCode::kCorruptData, "reference: tensor ", name, ": too few bytes (expected ",
         tensor::byte_size(view.dtype, count), ", got ", view.bytes.size(), ")");
  }
  std::vector<float> values(count);
  type.to_f32(view.bytes.data(), values.data(), count);
  return values;
}

struct Matrix {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

Matrix part_shape(const WeightPart& part, WeightRole role, const std::string& name) {
  const tensor::Shape& shape = part.view.shape;
  if (role == WeightRole::kVector) return {1, shape.n_elems()};
  if (shape.n_dims() != 2) {
    fail(ErrorCode::kCorruptData, "reference: tensor ", name,
         ": wrong shape (expected two dimensions, got ", shape.to_string(), ")");
  }
  return part.transposed ? Matrix{shape[1], shape[0]} : Matrix{shape[0], shape[1]};
}

/// Appends the part's rows in their wanted order. For a vector the "rows" are its elements.
void append_part(const WeightPart& part, Matrix shape, WeightRole role, const std::string& name,
                 std::vector<float>& out) {
  const std::vector<float> values = to_f32(part.view, name);
  const std::int64_t n_rows = role == WeightRole::kVector ? shape.in : shape.out;
  const std::int64_t n_cols = role == WeightRole::kVector ? 1 : shape.in;
  const auto& order = part.row_permutation;
  if (!order.empty() && static_cast<std::int64_t>(order.size()) != n_rows) {
    fail(ErrorCode::kInternal, "reference: tensor ", name, ": bad permutation");
  }
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::int64_t from = order.empty() ? r : order[static_cast<std::size_t>(r)];
    for (std::int64_t c = 0; c < n_cols; ++c) {
      const std::int64_t at = part.transposed ? c * n_rows + from : from * n_cols + c;
      out.push_back(values[static_cast<std::size_t>(at)]);
    }
  }
}

}  // namespace

std::unique_ptr<ReferenceWeight> expand_weight(const WeightSource& source, WeightRole role) {
  base::check(!source.parts.empty(), "reference: weight ", source.name, " has no parts");
  std::vector<float> values;
  Matrix total{};
  for (const WeightPart& part : source.parts) {
    const Matrix shape = part_shape(part, role, source.name);
    if (role == WeightRole::kVector) {
      total = {1, total.in + shape.in};
    } else {
      if (total.out != 0 && shape.in != total.in) {
        fail(ErrorCode::kCorruptData, "reference: tensor ", source.name,
             ": parts have different widths (expected ", total.in, ", got ", shape.in, ")");
      }
      total = {total.out + shape.out, shape.in};
    }
    append_part(part, shape, role, source.name, values);
  }
  return std::make_unique<ReferenceWeight>(total.out, total.in, std::move(values));
}

ReferenceKvCache::ReferenceKvCache(const KvCacheSpec& spec)
    : spec_(spec), layers_(spec.layers.size()) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const KvLayerSpec& layer = spec_.layers[i];
    const auto n_blocks = spec_.blocks_per_group.at(static_cast<std::size_t>(layer.group));
    const std::size_t n =
        static_cast<std::size_t>(n_blocks) * static_cast<std::size_t>(layer.n_kv_heads) *
        static_cast<std::size_t>(spec_.block_size) * static_cast<std::size_t>(layer.head_dim);
    for (int kv = 0; kv < 2; ++kv) {
      if (spec_.f16) {
        layers_[i].f16[kv].assign(n, 0);
      } else {
        layers_[i].f32[kv].assign(n, 0.0F);
      }
    }
  }
}

std::size_t ReferenceKvCache::index(int layer, std::int32_t block, int kv_head,
                                    int offset) const noexcept {
  const KvLayerSpec& spec = spec_.layers[static_cast<std::size_t>(layer)];
  const auto head = static_cast<std::size_t>(block) * static_cast<std::size_t>(spec.n_kv_heads) +
                    static_cast<std::size_t>(kv_head);
  const auto token =
      head * static_cast<std::size_t>(spec_.block_size) + static_cast<std::size_t>(offset);
  return token * static_cast<std::size_t>(spec.head_dim);
}

void ReferenceKvCache::store(int layer, bool is_value, std::int32_t block, int kv_head, int offset,
                             const float* values) noexcept {
  Layer& memory = layers_[static_cast<std::size_t>(layer)];
  const int head_dim = spec_.layers[static_cast<std::size_t>(layer)].head_dim;
  const std::size_t at = index(layer, block, kv_head, offset);
  for (int d = 0; d < head_dim; ++d) {
    const std::size_t i = at + static_cast<std::size_t>(d);
    if (spec_.f16) {
      memory.f16[is_value ? 1 : 0][i] = tensor::f32_to_f16(values[d]);
    } else {
      memory.f32[is_value ? 1 : 0][i] = values[d];
    }
  }
}

void ReferenceKvCache::load(int layer, bool is_value, std::int32_t block, int kv_head, int offset,
                            float* out) const noexcept {
  const Layer& memory = layers_[static_cast<std::size_t>(layer)];
  const int head_dim = spec_.layers[static_cast<std::size_t>(layer)].head_dim;
  const std::size_t at = index(layer, block, kv_head, offset);
  for (int d = 0; d < head_dim; ++d) {
    const std::size_t i = at + static_cast<std::size_t>(d);
    out[d] = spec_.f16 ? tensor::f16_to_f32(memory.f16[is_value ? 1 : 0][i])
                       : memory.f32[is_value ? 1 : 0][i];
  }
}

}  // namespace openllm::device
