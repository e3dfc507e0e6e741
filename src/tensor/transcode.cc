#include <array>

#include "tensor/dtype.h"
#include "tensor/quant/quant.h"

namespace openllm::tensor {
namespace {

template <DType kType>
void to_i8_by16(const void* blocks, void* out, std::size_t n_elems) noexcept {
  const auto* block = static_cast<const unsigned char*>(blocks);
  auto* to = static_cast<unsigned char*>(out);
  quant::CodedBlock coded{};
  for (std::size_t i = 0; i < n_elems; i += 256, block += info(kType).block_bytes) {
    quant::read_coded(kType, block, coded);
    for (std::size_t k = 0; k < 256; k += 32, to += 40) {
      std::memcpy(to, coded.scales.data() + k / 16, 8);
      std::memcpy(to + 8, coded.codes.data() + k, 32);
    }
  }
}

/// Every finite F8 is an F16.
template <float (*kToF32)(std::uint8_t) noexcept>
void to_f16(const void* blocks, void* out, std::size_t n_elems) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(blocks);
  auto* to = static_cast<unsigned char*>(out);
  for (std::size_t i = 0; i < n_elems; ++i) {
    const std::uint16_t half = f32_to_f16(kToF32(bytes[i]));
    std::memcpy(to + 2 * i, &half, 2);
  }
}

struct Row {
  DType from;
  Transcoding transcoding;
};
template <DType kType>
constexpr Row coded() {
  return {kType, {DType::kI8By16, to_i8_by16<kType>}};
}

constexpr std::array<Row, 11> kRows = {{
    coded<DType::kIQ1_S>(),
    coded<DType::kIQ1_M>(),
    coded<DType::kIQ2_XXS>(),
    coded<DType::kIQ2_XS>(),
    coded<DType::kIQ2_S>(),
    coded<DType::kIQ3_XXS>(),
    coded<DType::kIQ3_S>(),
    coded<DType::kTQ1_0>(),
    coded<DType::kTQ2_0>(),
    {DType::kF8_E4M3, {DType::kF16, to_f16<quant::f8_e4m3_to_f32>}},
    {DType::kF8_E5M2, {DType::kF16, to_f16<quant::f8_e5m2_to_f32>}},
}};

}  // namespace

const Transcoding* find_transcoding(DType dtype) noexcept {
  for (const Row& row : kRows) {
    if (row.from == dtype) return &row.transcoding;
  }
  return nullptr;
}

}  // namespace openllm::tensor
