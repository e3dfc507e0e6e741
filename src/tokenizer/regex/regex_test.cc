#include "tokenizer/regex/regex.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/regex/regex_syntax.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> all_matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pattern, "test");
  Regex::Scanner scanner(regex, text);
  std::vector<std::string> found;
  while (const auto match = scanner.next()) {
    found.emplace_back(text.substr(match->begin, match->end - match->begin));
  }
  return found;
}

TEST(Regex, FindsUnicodeClasses) {
  EXPECT_THAT(all_matches(R"(\p{L}+|\p{N}{1,3})", "\xC3\xA9t\xC3\xA9 12345"),
              ElementsAre("\xC3\xA9t\xC3\xA9", "123", "45"));
}

TEST(Regex, SpaceIsWhiteSpaceWithoutMongolianVowelSeparator) {
  EXPECT_THAT(all_matches(R"(\s)", "a\xE1\xA0\x8E \xC2\x85\xE3\x80\x80"),
              ElementsAre(" ", "\xC2\x85", "\xE3\x80\x80"));
  EXPECT_THAT(all_matches(R"([^\s]+)", "a\xE1\xA0\x8E b"), ElementsAre("a\xE1\xA0\x8E", "b"));
  EXPECT_THAT(all_matches(R"([\S]+)", "a\xE1\xA0\x8E b"), ElementsAre("a\xE1\xA0\x8E", "b"));
  EXPECT_THAT(all_matches(R"(\s+(?!\S))", "a  \xE1\xA0\x8E"), ElementsAre(" "));
}

TEST(Regex, AnchorsMatchAtEveryLine) {
  EXPECT_THAT(all_matches("^a$", "a\na\nb"), ElementsAre("a", "a"));
}

TEST(Regex, ClassIntersection) {
  EXPECT_THAT(all_matches(R"([\p{L}&&[^\p{Han}]]+)",
                          "ab\xE4\xBD\xA0"
                          "c"),
              ElementsAre("ab", "c"));
}

TEST(Regex, EmptyMatchesAdvanceAndDoNotTouchTheMatchBefore) {
  EXPECT_THAT(all_matches("b*", "abb\xC3\xA9"), ElementsAre("", "bb", ""));
  EXPECT_THAT(all_matches("", "ab"), ElementsAre("", "", ""));
}

TEST(Regex, BadPatternsAreErrors) {
  for (const char* pattern :
       {"(", "[", "[a", "a{3,1}", "(?<=ba+)b", "\\", "[a[b]", R"(\C)", "(?P<x", "[[:alpha:"}) {
    EXPECT_THROW(Regex(pattern, "test"), Error) << pattern;
  }
  EXPECT_THROW(Regex(std::string(1 << 20, 'a'), "test"), Error);
}

TEST(Regex, CatastrophicPatternIsAnErrorAndNotAHang) {
  const Regex regex("(a+)+$", "test");
  const std::string text = std::string(200, 'a') + "b";
  Regex::Scanner scanner(regex, text);
  try {
    while (scanner.next()) {
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
  }
}

TEST(Regex, LongMatchesNeedNoStack) {
  const std::string text(2'000'000, 'a');
  const Regex regex(R"((?:a|b)+|\p{L}+)", "test");
  Regex::Scanner scanner(regex, text);
  try {
    const auto match = scanner.next();
    ASSERT_TRUE(match);
    EXPECT_EQ(match->end, text.size());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);  // the stack of matching is bounded
  }
}

TEST(RegexSyntax, LeavesOtherEscapesAlone) {
  EXPECT_EQ(translate_regex(R"(\\s\[\s\d)", "test").substr(0, 5), R"(\\s\[)");
}

}  // namespace
}  // namespace openllm::tokenizer
