#include "model/weights/rounded_source.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace openllm::model {
namespace {

using tensor::DType;

bool is_plain(DType type) noexcept {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kF64;
}

void store(DType type, const float* values, std::size_t n, std::byte* out) noexcept {
  if (type == DType::kF32) {
    std::memcpy(out, values, n * sizeof(float));
    return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t bits =
        type == DType::kF16 ? tensor::f32_to_f16(values[i]) : tensor::f32_to_bf16(values[i]);
    std::memcpy(out + i * sizeof(bits), &bits, sizeof(bits));
  }
}

std::vector<std::byte> rounded(const tensor::TensorView& view, DType type) {
  const auto n = static_cast<std::size_t>(view.shape.n_elems());
  const tensor::DTypeInfo& from = tensor::info(view.dtype);
  std::vector<std::byte> out(tensor::byte_size(type, n));
  std::array<float, 4096> chunk{};
  for (std::size_t i = 0; i < n; i += chunk.size()) {
    const std::size_t size = std::min(chunk.size(), n - i);
    from.to_f32(view.bytes.data() + tensor::byte_size(view.dtype, i), chunk.data(), size);
    store(type, chunk.data(), size, out.data() + tensor::byte_size(type, i));
  }
  return out;
}

}  // namespace

RoundedSource::RoundedSource(const device::WeightSource& source, DType type) : source_(source) {
  values_.reserve(source_.parts.size());
  for (device::WeightPart& part : source_.parts) {
    const bool has_codes =
        part.grouped.has_value() || part.rows != nullptr || !is_plain(part.view.dtype);
    if (has_codes || part.view.dtype == type) continue;
    values_.push_back(rounded(part.view, type));
    part.view.dtype = type;
    part.view.bytes = values_.back();
  }
}

}  // namespace openllm::model
