#include "tensor/tensor_view.h"

#include <gtest/gtest.h>

#include <vector>

#include "openllm/error.h"

namespace openllm::tensor {
namespace {

TEST(Shape, CountsAndPrints) {
  const Shape shape{576, 1536};
  EXPECT_EQ(shape.n_dims(), 2);
  EXPECT_EQ(shape[1], 1536);
  EXPECT_EQ(shape.n_elems(), 576 * 1536);
  EXPECT_EQ(shape.to_string(), "[576, 1536]");
  EXPECT_EQ(Shape{}.n_elems(), 1);  // a scalar
  EXPECT_EQ(Shape{}.to_string(), "[]");
  EXPECT_EQ((Shape{3, 0, 5}).n_elems(), 0);
}

TEST(Shape, Compares) {
  EXPECT_EQ((Shape{1, 2}), (Shape{1, 2}));
  EXPECT_NE((Shape{1, 2}), (Shape{2, 1}));
  EXPECT_NE((Shape{1}), (Shape{1, 1}));
}

TEST(Shape, RefusesFiveDimensions) {
  const std::vector<std::int64_t> dims(5, 1);
  try {
    const Shape shape{std::span<const std::int64_t>(dims)};
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_STREQ(error.what(), "tensor shape: too many dimensions (expected at most 4, got 5)");
  }
}

}  // namespace
}  // namespace openllm::tensor
