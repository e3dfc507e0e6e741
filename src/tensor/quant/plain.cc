#include "tensor/quant/quant.h"

namespace openllm::tensor::quant {

using detail::as_bytes;
using detail::load;

void f32_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  if (n_elems > 0) std::memcpy(out, data, n_elems * sizeof(float));
}

void f16_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* in = as_bytes(data);
  for (std::size_t i = 0; i < n_elems; ++i) {
    out[i] = detail::load_f16(in + 2 * i);
  }
}

void bf16_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* in = as_bytes(data);
  for (std::size_t i = 0; i < n_elems; ++i) {
    out[i] = tensor::bf16_to_f32(load<std::uint16_t>(in + 2 * i));
  }
}

void f64_to_f32(const void* data, float* out, std::size_t n_elems) noexcept {
  const std::uint8_t* in = as_bytes(data);
  for (std::size_t i = 0; i < n_elems; ++i) {
    out[i] = static_cast<float>(load<double>(in + 8 * i));
  }
}

}  // namespace openllm::tensor::quant
