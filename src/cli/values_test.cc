#include "cli/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openllm/error.h"

namespace openllm::cli {
namespace {

using ::testing::ElementsAre;

TEST(ParseIds, TakesCommasAndSpaces) {
  EXPECT_THAT(parse_ids("1,2,3"), ElementsAre(1, 2, 3));
  EXPECT_THAT(parse_ids(" 7  8, 9,"), ElementsAre(7, 8, 9));
  EXPECT_THAT(parse_ids("[1, 2,3]"), ElementsAre(1, 2, 3));
  for (const char* bad : {"", ",", "x", "1,2x", "1.5", "99999999999", "1;2", "[]", "[1", "[[1]]"})
    EXPECT_THROW(parse_ids(bad), Error) << bad;
}

TEST(ParseInto, TakesWholeNumbersThatFit) {
  std::optional<std::uint64_t> seed;
  parse_into("18446744073709551615", seed);
  EXPECT_EQ(seed, ~std::uint64_t{0});
  for (const char* bad : {"-1", "18446744073709551616", "", "1.0", "0x1", "1 ", " 1", "++1"}) {
    EXPECT_THROW(parse_into(bad, seed), Error) << bad;
  }
  int number = 0;
  parse_into("-7", number);
  EXPECT_EQ(number, -7);
  parse_into("+7", number);
  EXPECT_EQ(number, 7);
  float real = 0.0F;
  parse_into(".5", real);
  EXPECT_EQ(real, 0.5F);
  for (const char* bad : {"warm", "0,5", "1e300", ""}) EXPECT_THROW(parse_into(bad, real), Error);
}

TEST(ParseBytes, KnowsUnits) {
  EXPECT_EQ(parse_bytes("1000000"), 1000000);
  EXPECT_EQ(parse_bytes("2GiB"), std::int64_t{2} << 30U);
  EXPECT_EQ(parse_bytes("2g"), std::int64_t{2} << 30U);
  EXPECT_EQ(parse_bytes("1.5 MiB"), 3 << 19);
  EXPECT_EQ(parse_bytes("3kb"), 3000);
  EXPECT_EQ(parse_bytes("0"), 0);
  for (const char* bad : {"", "x", "2 parsecs", "-1", "1e30", "nan", "inf", "2GiBs"}) {
    EXPECT_THROW(parse_bytes(bad), Error) << bad;
  }
}

TEST(ParseBiases, NeedsNumbers) {
  const auto biases = parse_biases("12=-100,7=1.5");
  ASSERT_EQ(biases.size(), 2U);
  EXPECT_EQ(biases.at(12), -100.0F);
  EXPECT_EQ(biases.at(7), 1.5F);
  for (const char* bad : {"1", "=1", "1=", "a=1", "1=b"})
    EXPECT_THROW(parse_biases(bad), Error) << bad;
}

TEST(ParseSeconds, IsAboveZero) {
  EXPECT_EQ(parse_seconds("1.5").count(), 1500);
  EXPECT_EQ(parse_seconds("0.0001").count(), 1);
  for (const char* bad : {"", "0", "-1", "soon", "1e9", "nan"})
    EXPECT_THROW(parse_seconds(bad), Error) << bad;
}

}  // namespace
}  // namespace openllm::cli
