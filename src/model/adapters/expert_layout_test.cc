#include "model/adapters/expert_layout.h"

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ExpertLayoutTest, Versions) {
  for (const char* version : {"0.17.0", "0.17.1", "0.18.0", "0.18.1", "0.17"})
    EXPECT_EQ(expert_layout_of(version), ExpertLayout::kSquareDimensions) << version;
  for (const char* version : {"0.19.0", "0.19"})
    EXPECT_EQ(expert_layout_of(version), ExpertLayout::kSquareTurned) << version;
  for (const char* version : {"0.19.1", "0.20.0", "0.21.2", "1.0.0", "0.100.0"})
    EXPECT_EQ(expert_layout_of(version), ExpertLayout::kSquarePlain) << version;
  for (const char* version :
       {"", "x", "0.", "0.19.1.dev0@abc", "0.16.0", "0.19.-1", "0.19.1.2", "1", "99999999999.1"}) {
    EXPECT_EQ(expert_layout_of(version), ExpertLayout::kSquareUnknown) << version;
  }
}

class PlainExpertTest : public testing::Test {
 protected:
  /// a = [[1, 2, ...]], b = [[-1], [-2], ...].
  AdapterModule module(std::int64_t a_columns, std::int64_t b_rows, ExpertLayout layout) {
    for (std::int64_t i = 1; i <= a_columns; ++i) a_.push_back(static_cast<float>(i));
    for (std::int64_t i = 1; i <= b_rows; ++i) b_.push_back(static_cast<float>(-i));
    AdapterModule module;
    module.layout = layout;
    module.a = {"a", {tensor::DType::kF32, {1, a_columns}, std::as_bytes(std::span(a_))}};
    module.b = {"b", {tensor::DType::kF32, {b_rows, 1}, std::as_bytes(std::span(b_))}};
    return module;
  }
  /// a of an expert [n_out, n_in].
  std::vector<float> inputs(std::int64_t a_columns, std::int64_t b_rows, ExpertLayout layout,
                            std::int64_t n_out, std::int64_t n_in, bool transposed = false) {
    a_.clear();
    b_.clear();
    const PlainExpert expert(module(a_columns, b_rows, layout), "path", n_out, n_in, transposed);
    const tensor::TensorView& view = expert.module().a->view;
    std::vector<float> values(view.bytes.size() / sizeof(float));
    std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
    return values;
  }

  std::vector<float> a_;
  std::vector<float> b_;
};

TEST_F(PlainExpertTest, ShapesSayItFirst) {
  for (const ExpertLayout layout :
       {ExpertLayout::kSquarePlain, ExpertLayout::kSquareTurned, ExpertLayout::kSquareDimensions,
        ExpertLayout::kSquareUnknown}) {
    EXPECT_THAT(inputs(2, 3, layout, 3, 2), ElementsAre(1, 2));
    EXPECT_THAT(inputs(2, 3, layout, 2, 3), ElementsAre(-1, -2, -3));
  }
  // Other modules are as they are, and what does not fit either way is for others to refuse.
  EXPECT_THAT(inputs(2, 3, ExpertLayout::kPlain, 2, 3), ElementsAre(1, 2));
  EXPECT_THAT(inputs(2, 3, ExpertLayout::kSquareTurned, 3, 4), ElementsAre(1, 2));
}

TEST_F(PlainExpertTest, SquareMatricesByVersion) {
  EXPECT_THAT(inputs(2, 2, ExpertLayout::kSquarePlain, 2, 2), ElementsAre(1, 2));
  EXPECT_THAT(inputs(2, 2, ExpertLayout::kSquareTurned, 2, 2), ElementsAre(-1, -2));
  EXPECT_THAT(inputs(2, 2, ExpertLayout::kSquareTurned, 2, 2, true), ElementsAre(-1, -2));
  EXPECT_THAT(inputs(2, 2, ExpertLayout::kSquareDimensions, 2, 2), ElementsAre(-1, -2));
  EXPECT_THAT(inputs(2, 2, ExpertLayout::kSquareDimensions, 2, 2, true), ElementsAre(1, 2));
  EXPECT_THAT(error_of([&] { inputs(2, 2, ExpertLayout::kSquareUnknown, 2, 2); }).what(),
              HasSubstr("path/adapter_config.json: peft_version: "));
}

}  // namespace
}  // namespace openllm::model::test
