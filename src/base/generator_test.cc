#include "openllm/generator.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "openllm/task.h"

namespace openllm {
namespace {

Generator<std::string> letters(int n, [[maybe_unused]] std::shared_ptr<int> alive = {}) {
  for (int i = 0; i < n; ++i) co_yield std::string(static_cast<std::size_t>(i + 1), 'x');
  if (n == 3) throw Error(ErrorCode::kInvalidArgument, "three");
}

TEST(Generator, IsARange) {
  std::vector<std::string> all;
  for (std::string& text : letters(2)) all.push_back(std::move(text));
  EXPECT_EQ(all, (std::vector<std::string>{"x", "xx"}));
  for (const std::string& text : letters(0)) FAIL() << text;
}

TEST(Generator, ThrowsWhatTheBodyThrowsAndEnds) {
  Generator<std::string> generator = letters(3);
  for (int i = 0; i < 3; ++i) ASSERT_NE(generator.next(), nullptr);
  EXPECT_THROW(generator.next(), Error);
  EXPECT_EQ(generator.next(), nullptr);
}

TEST(Generator, EndsTheBodyWhereItStands) {
  const auto alive = std::make_shared<int>(1);
  {
    Generator<std::string> generator = letters(5, alive);
    (void)generator.next();
    EXPECT_EQ(alive.use_count(), 2);
    Generator<std::string> moved = std::move(generator);
    EXPECT_EQ(generator.next(), nullptr);  // NOLINT(*-use-after-move)
    EXPECT_NE(moved.next(), nullptr);
  }
  EXPECT_EQ(alive.use_count(), 1);
}

Task<int> one(int value) { co_return value; }

AsyncGenerator<std::int64_t> doubled(int n) {
  for (int i = 0; i < n; ++i) {
    const int value = co_await one(i);
    co_yield 2 * static_cast<std::int64_t>(value);
  }
  if (n == 3) throw Error(ErrorCode::kInvalidArgument, "three");
}

Task<std::int64_t> sum(int n) {
  AsyncGenerator<std::int64_t> generator = doubled(n);
  std::int64_t total = 0;
  while (const std::int64_t* value = co_await generator.next()) total += *value;
  const std::int64_t* after_the_end = co_await generator.next();
  co_return after_the_end == nullptr ? total : -1;
}

TEST(AsyncGenerator, AwaitsAndIsAwaited) {
  EXPECT_EQ(sum(0).get(), 0);
  EXPECT_EQ(sum(5).get(), 20);
  EXPECT_EQ(sum(1000).get(), 1000 * 999);
  EXPECT_THROW(sum(3).get(), Error);
}

}  // namespace
}  // namespace openllm
