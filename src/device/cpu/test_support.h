#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "device/cpu/cpu_device.h"
#include "device/device.h"
#include "tensor/dtype.h"

namespace openllm::device::testing {

/// Numbers that depend on the seed alone.
class Random {
 public:
  explicit Random(std::uint64_t seed) : seed_(seed) {}
  std::uint64_t bits() { return base::random_bits(seed_, 0, next_++); }
  double unit() { return base::random_unit(seed_, 0, next_++); }
  /// About normal.
  float normal() {
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) sum += unit();
    return static_cast<float>(sum);
  }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(n));
  }
  std::vector<float> normals(std::size_t n, float scale = 1.0F) {
    std::vector<float> values(n);
    for (float& v : values) v = normal() * scale;
    return values;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

/// Types that hold weights, and the innermost length to test them with.
inline std::vector<tensor::DType> weight_types() {
  using tensor::DType;
  return {DType::kF32,        DType::kF16,         DType::kBF16,        DType::kQ4_0,
          DType::kQ4_1,       DType::kQ5_0,        DType::kQ5_1,        DType::kQ8_0,
          DType::kQ2_K,       DType::kQ3_K,        DType::kQ4_K,        DType::kQ5_K,
          DType::kQ6_K,       DType::kIQ4_NL,      DType::kIQ4_XS,      DType::kMXFP4,
          DType::kIQ1_M,      DType::kIQ2_XS,      DType::kTQ1_0,       DType::kCodes4By32,
          DType::kCodes8By32, DType::kAffine4By32, DType::kAffine8By32, DType::kI8By16,
          DType::kE2M1By16,   DType::kE4M3By32,    DType::kE5M2By32,    DType::kNF4By32,
          DType::kFP4By32};
}

/// Types whose products take activations as they are.
inline bool takes_floats(tensor::DType type) {
  return tensor::info(type).block_elems == 1 || type >= tensor::DType::kE4M3By32;
}

inline void put_u16(std::byte* p, std::uint16_t bits) { std::memcpy(p, &bits, 2); }
inline void put_f32(std::byte* p, float value) { std::memcpy(p, &value, 4); }

/// Sensible factors for a block of random bytes that has others than F16.
inline void put_other_factors(tensor::DType type, std::byte* block, std::size_t size,
                              Random& random) {
  using tensor::DType;
  if (type == DType::kMXFP4) block[0] = static_cast<std::byte>(118 + random.below(8));
  if (type == DType::kIQ1_M) {
    const unsigned bits = tensor::f32_to_f16(random.normal() * 0.01F);
    for (unsigned i = 0; i < 4; ++i) {
      const auto low = std::to_integer<unsigned>(block[49 + 2 * i]) & 15U;
      block[49 + 2 * i] = static_cast<std::byte>(low | ((bits >> (4 * i)) & 15U) << 4U);
    }
  }
  if (type < DType::kCodes4By32) return;
  put_f32(block, random.normal() * 0.01F);
  if (type == DType::kCodes4By32) block[4] = static_cast<std::byte>(random.below(16));
  if (type == DType::kI8By16 || type == DType::kE2M1By16)
    put_f32(block + 4, random.normal() * 0.01F);
  if (type == DType::kAffine4By32 || type == DType::kAffine8By32) {
    put_f32(block + 4, random.normal() * 3.0F + 8.0F);
  }
  // Codes of F8 that are no numbers or infinite.
  for (std::size_t i = 4; i < size; ++i) {
    const auto low = std::to_integer<unsigned>(block[i]) & 0x7FU;
    const bool is_bad =
        type == DType::kE4M3By32 ? low == 0x7F : type == DType::kE5M2By32 && low >= 0x7C;
    if (is_bad) block[i] = std::byte{0x31};
  }
}

/// A weight of random bytes with sensible factors, and its values.
struct TestWeight {
  tensor::DType type{};
  std::int64_t n_rows = 0;
  std::int64_t n_columns = 0;
  std::vector<std::byte> bytes{};
  std::vector<float> values{};  ///< [n_rows, n_columns]

  tensor::TensorView view() const { return {type, {n_rows, n_columns}, bytes}; }
};

inline TestWeight make_weight(tensor::DType type, std::int64_t n_rows, std::int64_t n_columns,
                              Random& random) {
  const tensor::DTypeInfo& info = tensor::info(type);
  TestWeight weight{type, n_rows, n_columns};
  const auto n = static_cast<std::size_t>(n_rows * n_columns);
  weight.bytes.resize(tensor::byte_size(type, n));
  const auto size = static_cast<std::size_t>(info.block_bytes);
  for (std::size_t at = 0; at < weight.bytes.size(); at += size) {
    std::byte* block = weight.bytes.data() + at;
    const float value = random.normal() * 0.05F;
    if (type == tensor::DType::kF32) {
      std::memcpy(block, &value, 4);
    } else if (type == tensor::DType::kF16) {
      put_u16(block, tensor::f32_to_f16(value));
    } else if (type == tensor::DType::kBF16) {
      put_u16(block, tensor::f32_to_bf16(value));
    } else {
      for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<std::byte>(random.bits());
      put_other_factors(type, block, size, random);
      for (const int offset : info.f16_factors) {
        if (offset < 0) continue;
        put_u16(block + offset, tensor::f32_to_f16(random.normal() * 0.01F));
      }
    }
  }
  weight.values.resize(n);
  info.to_f32(weight.bytes.data(), weight.values.data(), n);
  return weight;
}

inline std::unique_ptr<Weight> upload(Device& device, const TestWeight& weight,
                                      WeightRole role = WeightRole::kLinear) {
  WeightSource source;
  source.parts.push_back({weight.view(), "test"});
  return device.upload(source, role);
}

inline std::unique_ptr<Weight> upload_vector(Device& device, const std::vector<float>& values) {
  const auto n = static_cast<std::int64_t>(values.size());
  WeightSource source;
  source.parts.push_back({{tensor::DType::kF32, {n}, std::as_bytes(std::span(values))}, "vector"});
  return device.upload(source, WeightRole::kVector);
}

/// A step of one sequence with a row for each position.
inline step::Step step_of(const std::vector<std::int32_t>& positions) {
  step::Step step;
  step.positions = positions;
  step.token_ids.assign(positions.size(), 0);
  step.sequences.push_back({.n_rows = static_cast<std::int32_t>(positions.size())});
  return step;
}

/// A matrix in device memory that can be filled and read (devices of host memory).
class TestTensor {
 public:
  TestTensor(Device& device, std::int64_t rows, std::int64_t cols, std::int64_t gap = 0)
      : buffer_(device.allocate(static_cast<std::size_t>(rows * (cols + gap) + 1) * sizeof(float))),
        tensor_{buffer_->data(), rows, cols, cols + gap} {}
  TestTensor(Device& device, std::int64_t rows, std::int64_t cols, const std::vector<float>& values)
      : TestTensor(device, rows, cols) {
    std::copy(values.begin(), values.end(), data());
  }
  operator Tensor() const { return tensor_; }  // NOLINT(*-explicit-*)
  Tensor get() const { return tensor_; }
  float* data() const { return static_cast<float*>(tensor_.data); }
  std::vector<float> values() const {
    std::vector<float> out;
    for (std::int64_t r = 0; r < tensor_.rows; ++r) {
      const float* row = data() + r * tensor_.stride;
      out.insert(out.end(), row, row + tensor_.cols);
    }
    return out;
  }

 private:
  std::unique_ptr<Buffer> buffer_;
  Tensor tensor_;
};

/// What the quantised path makes of a row of activations.
inline std::vector<float> through_int8(const float* x, std::int64_t n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  for (std::int64_t g = 0; g < n; g += 32) {
    float largest = 0.0F;
    for (std::int64_t i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[g + i]));
    const float scale = largest / 127.0F;
    for (std::int64_t i = 0; i < 32; ++i) {
      const float code = scale > 0 ? std::nearbyint(x[g + i] * (127.0F / largest)) : 0.0F;
      out[static_cast<std::size_t>(g + i)] = scale * code;
    }
  }
  return out;
}

}  // namespace openllm::device::testing
