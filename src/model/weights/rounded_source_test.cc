#include "model/weights/rounded_source.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace openllm::model {
namespace {

using tensor::DType;
using testing::ElementsAre;

template <typename Value>
tensor::TensorView view_of(DType type, const std::vector<Value>& values) {
  tensor::TensorView view;
  view.dtype = type;
  view.shape = tensor::Shape{static_cast<std::int64_t>(values.size())};
  view.bytes = std::as_bytes(std::span(values));
  return view;
}

std::vector<float> values_of(const tensor::TensorView& view) {
  std::vector<float> values(static_cast<std::size_t>(view.shape.n_elems()));
  tensor::info(view.dtype).to_f32(view.bytes.data(), values.data(), values.size());
  return values;
}

TEST(RoundedSource, RoundsToTheNearestAndKeepsWhatIsOfTheType) {
  const std::vector<float> floats{1.0F, 1.0F + 0x1p-9F, -3.14159274F, 70000.0F};
  const std::vector<std::uint16_t> halves{0x3c01};  // 1 + 2^-10
  const device::WeightSource source{
      .parts = {{view_of(DType::kF32, floats), "a"}, {view_of(DType::kF16, halves), "b"}}};
  const RoundedSource half(source, DType::kF16);
  EXPECT_EQ(half.source().parts[0].view.dtype, DType::kF16);
  EXPECT_THAT(
      values_of(half.source().parts[0].view),
      ElementsAre(1.0F, 1.0F + 0x1p-9F, -3.140625F, std::numeric_limits<float>::infinity()));
  EXPECT_EQ(half.source().parts[1].view.bytes.data(), source.parts[1].view.bytes.data());
  const RoundedSource brain(source, DType::kBF16);
  EXPECT_THAT(values_of(brain.source().parts[0].view),
              ElementsAre(1.0F, 1.0F, -3.140625F, 70144.0F));
  EXPECT_THAT(values_of(brain.source().parts[1].view), ElementsAre(1.0F));
  const RoundedSource whole(source, DType::kF32);
  EXPECT_THAT(values_of(whole.source().parts[1].view), ElementsAre(1.0F + 0x1p-10F));
  EXPECT_EQ(whole.source().parts[1].name, "b");
}

TEST(RoundedSource, LongTensorsAreRoundedWhole) {
  std::vector<float> floats(10'001);
  for (std::size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(i) / 8.0F;
  const RoundedSource rounded({.parts = {{view_of(DType::kF32, floats), "a"}}}, DType::kBF16);
  const std::vector<float> values = values_of(rounded.source().parts[0].view);
  for (std::size_t i = 0; i < floats.size(); ++i)
    ASSERT_LE(std::abs(values[i] - floats[i]), floats[i] * 0x1p-8F) << i;
}

}  // namespace
}  // namespace openllm::model
