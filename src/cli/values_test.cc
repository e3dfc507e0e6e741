#include "cli/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/answer.h"
#include "cli/arguments.h"
#include "cli/line_reader.h"
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

TEST(Arguments, GoWhereTheyBelong) {
  const char* argv[] = {"openllm",
                        "run",
                        "model",
                        "[INST] hi [/INST]",
                        "--stop",
                        "[a,b]",
                        "--stop",
                        "c d",
                        "--top-k",
                        "7",
                        "--kv-cache-bytes",
                        "1MiB",
                        "-n",
                        "3",
                        "--json",
                        "--seed",
                        "18446744073709551615"};
  const ParsedArguments parsed = parse_arguments(static_cast<int>(std::size(argv)), argv);
  ASSERT_FALSE(parsed.exit_status);
  const Arguments& a = parsed.arguments;
  EXPECT_EQ(a.command, "run");
  EXPECT_EQ(a.text, "[INST] hi [/INST]");
  EXPECT_THAT(a.generate.stop, ElementsAre("[a,b]", "c d"));
  EXPECT_EQ(a.generate.top_k, 7);
  EXPECT_EQ(a.generate.seed, 18446744073709551615ULL);
  EXPECT_EQ(a.generate.n, 3);
  EXPECT_FALSE(a.generate.temperature);
  EXPECT_EQ(a.load.kv_cache_bytes, 1 << 20);
  EXPECT_TRUE(a.load.prefix_caching);
  EXPECT_TRUE(a.json);
}

TEST(Timing, CountsTheFirstTokenWithThePrompt) {
  const Timing timing{.load_s = 0.5,
                      .first_token_s = 2.0,
                      .total_s = 3.0,
                      .n_prompt = 20,
                      .n_cached = 10,
                      .n_answer = 11};
  EXPECT_EQ(
      describe(timing),
      "load 0.50 s | prompt 20 tokens (10 cached), 5.0 tokens/s | answer 11 tokens, 10.0 tokens/s");
  EXPECT_EQ(describe({}),
            "load 0.00 s | prompt 0 tokens, 0.0 tokens/s | answer 0 tokens, 0.0 tokens/s");
}

TEST(PasteFilter, PassesKeysOn) {
  PasteFilter filter;
  EXPECT_EQ(filter.push("abc\r"), "abc\r");
  EXPECT_EQ(filter.push("\033[A"), "\033[A");
  EXPECT_FALSE(filter.holds_back());
}

TEST(PasteFilter, KeepsAPasteTogether) {
  PasteFilter filter;
  const std::string shown = filter.push("x\033[200~one\r\ntwo\n\tthree\001\033[201~\r");
  EXPECT_EQ(shown.front(), 'x');
  EXPECT_EQ(shown.back(), '\r');
  EXPECT_EQ(shown.find('\n'), std::string::npos);
  EXPECT_EQ(shown.find('\001'), std::string::npos);
  EXPECT_EQ(PasteFilter::restore(shown.substr(1, shown.size() - 2)), "one\ntwo\n\tthree");
}

TEST(PasteFilter, FindsMarksInAnyPieces) {
  const std::string input = "a\033[200~b\nc\033[201~d\033[B";
  PasteFilter whole;
  const std::string expected = whole.push(input);
  for (std::size_t cut = 0; cut <= input.size(); ++cut) {
    PasteFilter filter;
    std::string out = filter.push(input.substr(0, cut));
    out += filter.push(input.substr(cut));
    EXPECT_EQ(out, expected) << cut;
  }
  PasteFilter lone;
  EXPECT_EQ(lone.push("\033"), "");
  EXPECT_TRUE(lone.holds_back());
  EXPECT_EQ(lone.flush(), "\033");
}

}  // namespace
}  // namespace openllm::cli
