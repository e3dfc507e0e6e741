#include "cli/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "openllm/error.h"

namespace openllm::cli {
namespace {

using ::testing::ElementsAre;

TEST(ParseIds, TakesCommasAndSpaces) {
  EXPECT_THAT(parse_ids("1,2,3"), ElementsAre(1, 2, 3));
  EXPECT_THAT(parse_ids(" 7  8, 9,"), ElementsAre(7, 8, 9));
  EXPECT_THAT(parse_ids("[1, 2,3]"), ElementsAre(1, 2, 3));
  for (const char* bad :
       {"", ",", "x", "1,2x", "1.5", "99999999999", "1;2", "[]", "[1", "[[1]]", "-1", "2147483648"})
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

TEST(ParseInto, KeepsToItsRange) {
  int number = 5;
  const fields::Range range{.min = 1, .max = 8};
  for (const char* bad : {"0", "9", "-1", ""}) {
    EXPECT_THROW(parse_into(bad, number, range), Error) << bad;
    EXPECT_EQ(number, 5) << bad;
  }
  parse_into("8", number, range);
  EXPECT_EQ(number, 8);
  parse_into("1", number, range);
  EXPECT_EQ(number, 1);
  float real = 0.0F;
  for (const char* bad : {"nan", "inf", "-inf", "1e39"}) {
    EXPECT_THROW(parse_into(bad, real), Error) << bad;
  }
  const fields::Range above{.min = 0, .is_above_min = true};
  EXPECT_THROW(parse_into("0", real, above), Error);
  parse_into("0.5", real, above);
  EXPECT_EQ(real, 0.5F);
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(ParseInto, SaysWhatItExpects) {
  int number = 0;
  float real = 0.0F;
  std::uint16_t port = 0;
  EXPECT_EQ(message_of([&] { parse_into("x", number, {.min = 1, .max = 65536}); }),
            "expected a whole number from 1 to 65536, got \"x\"");
  EXPECT_EQ(message_of([&] { parse_into("-1", number, {.min = 0}); }),
            "expected a whole number from 0 to 2147483647, got \"-1\"");
  EXPECT_EQ(message_of([&] { parse_into("70000", port); }),
            "expected a whole number from 0 to 65535, got \"70000\"");
  EXPECT_EQ(message_of([&] { parse_into("2", real, {.min = 0, .max = 1}); }),
            "expected a number from 0 to 1, got \"2\"");
  EXPECT_EQ(message_of([&] { parse_into("", real, {.min = 0}); }),
            "expected a number that is at least 0, got \"\"");
  EXPECT_EQ(message_of([&] { parse_into("1e300", real, {.min = 0}); }),
            "expected a number below 3.4e38 in size, got \"1e300\"");
  EXPECT_LT(message_of([&] { parse_into(std::string(5000, '7'), number); }).size(), 200U);
}

TEST(ParseSeed, MinusOneIsARandomSeedWhateverTheDefault) {
  EXPECT_EQ(parse_seed("7"), 7U);
  EXPECT_EQ(parse_seed("18446744073709551615"), ~std::uint64_t{0});
  EXPECT_EQ(parse_seed("-1"), kRandomSeed);
  EXPECT_EQ(parse_seed("-2"), ~std::uint64_t{1});
  EXPECT_EQ(parse_seed("-9223372036854775808"), std::uint64_t{1} << 63U);
  for (const char* bad : {"", "-9223372036854775809", "1.5", "18446744073709551616", "x", "-"})
    EXPECT_THROW(parse_seed(bad), Error) << bad;
}

TEST(ParseBytes, KnowsUnits) {
  EXPECT_EQ(parse_bytes("1000000"), 1000000);
  EXPECT_EQ(parse_bytes("2GiB"), std::int64_t{2} << 30U);
  EXPECT_EQ(parse_bytes("2g"), std::int64_t{2} << 30U);
  EXPECT_EQ(parse_bytes("1.5 MiB"), 3 << 19);
  EXPECT_EQ(parse_bytes("3kb"), 3000);
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_THROW(parse_bytes("0", 1), Error);
  EXPECT_EQ(parse_bytes("1", 1), 1);
  for (const char* bad : {"", "x", "2 parsecs", "-1", "1e30", "nan", "inf", "2GiBs"}) {
    EXPECT_THROW(parse_bytes(bad), Error) << bad;
  }
}

TEST(ParseBiases, NeedsNumbers) {
  const auto biases = parse_biases("12=-100,7=1.5");
  ASSERT_EQ(biases.size(), 2U);
  EXPECT_EQ(biases.at(12), -100.0F);
  EXPECT_EQ(biases.at(7), 1.5F);
  for (const char* bad : {"1", "=1", "1=", "a=1", "1=b", "-1=1", "1=nan", "1=inf", ""})
    EXPECT_THROW(parse_biases(bad), Error) << bad;
}

TEST(ParseSeconds, IsAboveZero) {
  EXPECT_EQ(parse_seconds("1.5").count(), 1500);
  EXPECT_EQ(parse_seconds("0.0001").count(), 1);
  for (const char* bad : {"", "0", "-1", "soon", "1e9", "nan", "inf", "1e300"})
    EXPECT_THROW(parse_seconds(bad), Error) << bad;
}

}  // namespace
}  // namespace openllm::cli
