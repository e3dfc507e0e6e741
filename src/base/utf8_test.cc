#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace openllm::base {
namespace {

std::vector<char32_t> decode_all(std::string_view text) {
  std::vector<char32_t> points;
  std::size_t pos = 0;
  while (pos < text.size()) points.push_back(decode_utf8(text, pos));
  EXPECT_EQ(pos, text.size());
  return points;
}

constexpr char32_t kBad = kReplacement;

TEST(Utf8, EveryCodePointSurvives) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    std::size_t pos = 0;
    ASSERT_EQ(decode_utf8(text, pos), c);
    ASSERT_EQ(pos, text.size());
    ASSERT_TRUE(is_valid_utf8(text));
  }
}

TEST(Utf8, WhatIsNoCodePointIsReplaced) {
  for (const char32_t c :
       {char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0x110000}, char32_t{0xFFFFFFFF}}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(text, "\xEF\xBF\xBD");
  }
}

// Expected values: what Python's bytes.decode("utf-8", errors="replace") gives.
TEST(Utf8, InvalidSequencesAreReplacedAsPythonDoes) {
  const std::vector<std::pair<std::string, std::vector<char32_t>>> cases = {
      {"\x80", {kBad}},
      {"\xC0\x80", {kBad, kBad}},                      // overlong NUL
      {"\xC1\xBF", {kBad, kBad}},                      // overlong
      {"\xE0\x80\x80", {kBad, kBad, kBad}},            // overlong
      {"\xE0\xA0", {kBad}},                            // cut
      {"\xE2\x82", {kBad}},                            // cut
      {"\xE2\x82z", {kBad, U'z'}},                     // broken off
      {"\xED\xA0\x80", {kBad, kBad, kBad}},            // surrogate
      {"\xF0\x80\x80\x80", {kBad, kBad, kBad, kBad}},  // overlong
      {"\xF0\x9F\x98", {kBad}},                        // cut
      {"\xF0\x9F\x98z", {kBad, U'z'}},                 // broken off
      {"\xF0\x9F\xE2\x82\xAC", {kBad, 0x20AC}},        // a new sequence begins
      {"\xF4\x90\x80\x80", {kBad, kBad, kBad, kBad}},  // above U+10FFFF
      {"\xF5\x80", {kBad, kBad}},
      {"\xFE\xFF", {kBad, kBad}},
      {"a\xFFz", {U'a', kBad, U'z'}},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(decode_all(text), expected) << ::testing::PrintToString(text);
    EXPECT_FALSE(is_valid_utf8(text));
    EXPECT_TRUE(is_valid_utf8(sanitize_utf8(text)));
  }
}

TEST(Utf8, SanitizeKeepsValidText) {
  EXPECT_EQ(sanitize_utf8(""), "");
  EXPECT_EQ(sanitize_utf8("gr\xC3\xBC\xC3\x9F\x65 \xF0\x9F\x98\x80"),
            "gr\xC3\xBC\xC3\x9F\x65 \xF0\x9F\x98\x80");
  EXPECT_EQ(sanitize_utf8(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
  EXPECT_EQ(sanitize_utf8("\xFFok"), "\xEF\xBF\xBDok");
}

TEST(Utf8, IncompleteTail) {
  EXPECT_EQ(incomplete_utf8_tail(""), 0U);
  EXPECT_EQ(incomplete_utf8_tail("abc"), 0U);
  EXPECT_EQ(incomplete_utf8_tail("a\xC3"), 1U);
  EXPECT_EQ(incomplete_utf8_tail("a\xC3\xBC"), 0U);
  EXPECT_EQ(incomplete_utf8_tail("\xE2\x82"), 2U);
  EXPECT_EQ(incomplete_utf8_tail("\xF0\x9F\x98"), 3U);
  EXPECT_EQ(incomplete_utf8_tail("\xF0\x9F\x98\x80"), 0U);
  EXPECT_EQ(incomplete_utf8_tail("\xF0"), 1U);
  EXPECT_EQ(incomplete_utf8_tail("\x80"), 0U);          // can never become valid
  EXPECT_EQ(incomplete_utf8_tail("\xED\xA0"), 0U);      // a surrogate
  EXPECT_EQ(incomplete_utf8_tail("\xC0"), 0U);          // no lead byte
  EXPECT_EQ(incomplete_utf8_tail("\xE2\x82\x41"), 0U);  // broken off before
}

// Cut anywhere, the complete part is valid and the rest is what the tail says.
TEST(Utf8, IncompleteTailOfEveryCut) {
  const std::string text = "a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80z";
  for (std::size_t n = 0; n <= text.size(); ++n) {
    const std::string_view part = std::string_view(text).substr(0, n);
    const std::size_t tail = incomplete_utf8_tail(part);
    EXPECT_TRUE(is_valid_utf8(part.substr(0, n - tail))) << n;
    EXPECT_EQ(tail == 0, is_valid_utf8(part)) << n;
  }
}

}  // namespace
}  // namespace openllm::base
