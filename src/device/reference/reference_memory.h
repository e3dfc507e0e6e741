#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
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

/// Zeros that take up no memory before they are written: large pieces come from the system, which
/// gives a page when it is touched.
template <typename T>
class ZeroedArray {
 public:
  ZeroedArray() = default;
  explicit ZeroedArray(std::size_t n) : data_(static_cast<T*>(std::calloc(n, sizeof(T)))) {
    if (data_ == nullptr && n > 0) throw std::bad_alloc();
  }
  T& operator[](std::size_t i) noexcept { return data_.get()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<T, Free> data_{};
};

/// Keys and values per layer, [block, kv head, token in block, head_dim], as f32, f16, or int8
/// with a scale for each 32 entries.
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
  /// The state in a block of a layer of states.
  float* state(int layer, std::int32_t block) noexcept;

  /// In every layer of the group.
  void copy_block(int group, std::int32_t from, std::int32_t to) noexcept;

 private:
  /// Number of the token's head among those of the layer.
  std::size_t token_of(int layer, std::int32_t block, int kv_head, int offset) const noexcept;
  int dim(int layer, bool is_value) const noexcept;
  void store_int8(int layer, bool is_value, std::size_t token, const float* values) noexcept;
  void store_int16(int layer, bool is_value, std::size_t token, const float* values) noexcept;

  struct Layer {
    ZeroedArray<float> f32[2]{};  // keys, values
    ZeroedArray<std::uint16_t> f16[2]{};
    ZeroedArray<std::int8_t> codes[2]{};
    ZeroedArray<std::int16_t> wide_codes[2]{};
    ZeroedArray<float> scales[2]{};  // by token, of 32 codes or of all wide ones
    ZeroedArray<float> states{};
  };
  KvCacheSpec spec_;
  std::vector<Layer> layers_;
};

}  // namespace openllm::device
