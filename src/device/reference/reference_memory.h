#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/device.h"

namespace openllm::device {

/// Every weight as a dense row-major f32 matrix [out, in].
class ReferenceWeight final : public Weight {
 public:
  ReferenceWeight(std::int64_t out, std::int64_t in, std::vector<float> values)
      : out_(out), in_(in), values_(std::move(values)) {}

  std::int64_t out_features() const noexcept override { return out_; }
  std::int64_t in_features() const noexcept override { return in_; }
  std::size_t bytes() const noexcept override { return values_.size() * sizeof(float); }

  const float* row(std::int64_t i) const noexcept { return values_.data() + i * in_; }

 private:
  std::int64_t out_;
  std::int64_t in_;
  std::vector<float> values_;
};

/// Expands and stacks the parts of `source`. Throws kUnsupported for a dtype that holds no weights
/// and kCorruptData when the parts do not fit each other.
std::unique_ptr<ReferenceWeight> expand_weight(const WeightSource& source, WeightRole role);

/// Keys and values per layer, [block, kv head, token in block, head_dim], as f32 or f16.
class ReferenceKvCache final : public KvCache {
 public:
  explicit ReferenceKvCache(const KvCacheSpec& spec);

  const KvCacheSpec& spec() const noexcept { return spec_; }
  /// Stores one token's head; `values` has head_dim or value_dim entries.
  void store(int layer, bool is_value, std::int32_t block, int kv_head, int offset,
             const float* values) noexcept;
  /// Reads it back into `out`.
  void load(int layer, bool is_value, std::int32_t block, int kv_head, int offset,
            float* out) const noexcept;

 private:
  std::size_t index(int layer, bool is_value, std::int32_t block, int kv_head,
                    int offset) const noexcept;
  int dim(int layer, bool is_value) const noexcept;

  struct Layer {
    std::vector<float> f32[2];          // keys, values
    std::vector<std::uint16_t> f16[2];  // keys, values
  };
  KvCacheSpec spec_;
  std::vector<Layer> layers_;
};

}  // namespace openllm::device
