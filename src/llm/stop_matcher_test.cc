#include "llm/stop_matcher.h"

#include <gtest/gtest.h>

namespace openllm::llm {
namespace {

std::string run(StopMatcher& matcher, std::initializer_list<const char*> pieces) {
  std::string text;
  for (const char* piece : pieces) text += matcher.push(piece);
  return text + (matcher.stopped() ? "" : matcher.flush());
}

TEST(StopMatcher, PassesEverythingWithoutStops) {
  StopMatcher matcher({}, false);
  EXPECT_EQ(matcher.push("any"), "any");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, N20HoldsBackWhatMayBecomeAStop) {
  StopMatcher matcher({"END"}, false);
  EXPECT_EQ(matcher.push("the E"), "the ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("T"), "ENT");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, CutsAtTheMatch) {
  StopMatcher matcher({"END"}, false);
  EXPECT_EQ(run(matcher, {"the EN", "D and more"}), "the ");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.push("later"), "");
}

TEST(StopMatcher, CanIncludeTheStop) {
  StopMatcher matcher({"END"}, true);
  EXPECT_EQ(run(matcher, {"the EN", "D and more"}), "the END");
}

TEST(StopMatcher, FirstMatchWinsWhateverTheOrderOfTheList) {
  for (const std::vector<std::string>& stops :
       {std::vector<std::string>{"ab", "abc", "b"}, std::vector<std::string>{"b", "abc", "ab"}}) {
    StopMatcher matcher(stops, true);
    EXPECT_EQ(run(matcher, {"xabcd"}), "xabc");
  }
}

TEST(StopMatcher, OverlappingBeginnings) {
  StopMatcher matcher({"aab"}, false);
  EXPECT_EQ(run(matcher, {"a", "a", "a", "b"}), "a");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, N19OnePieceAtATimeEqualsAllAtOnce) {
  const std::string text = "abcabdabeabf\n\nUser: abc\nabg";
  const std::vector<std::string> stops = {"\nUser:", "abg", "zzz"};
  StopMatcher whole(stops, false);
  const std::string expected = whole.push(text);
  for (std::size_t size = 1; size < 7; ++size) {
    StopMatcher matcher(stops, false);
    std::string got;
    for (std::size_t i = 0; i < text.size(); i += size) got += matcher.push(text.substr(i, size));
    EXPECT_EQ(got, expected) << size;
    EXPECT_TRUE(matcher.stopped());
  }
}

TEST(StopMatcher, UncheckedTextCannotStop) {
  StopMatcher matcher({"END"}, false);
  EXPECT_EQ(matcher.push_unchecked("an END"), "an END");
  EXPECT_FALSE(matcher.stopped());
}

/// Pieces in brackets are hidden.
std::string run_hidden(StopMatcher& matcher, std::initializer_list<std::string_view> pieces) {
  std::string text;
  for (const std::string_view piece : pieces) {
    text += piece.starts_with('[') ? matcher.push_hidden(piece.substr(1, piece.size() - 2))
                                   : matcher.push(piece);
  }
  return text + (matcher.stopped() ? "" : matcher.flush());
}

TEST(StopMatcher, FindsStopsInHiddenText) {
  struct Case {
    std::vector<std::string> stops;
    std::initializer_list<std::string_view> pieces;
    std::string text;
    std::string with_stop;
    bool stopped;
  };
  const Case cases[] = {
      {{"<end>"}, {"a", "[<end>]", "b"}, "a", "a<end>", true},
      {{"<end>x"}, {"a", "[<end>]", "xb"}, "a", "a<end>x", true},
      {{"a<end>x"}, {"a", "[<end>]", "xb"}, "", "a<end>x", true},
      {{"<end>x"}, {"a", "[<end>]", "yb"}, "ayb", "ayb", false},
      {{"ab"}, {"a", "[<end>]", "b!"}, "", "a<end>b", true},  // the reader sees "ab"
      {{"ab"}, {"a", "[<end>]", "c"}, "ac", "ac", false},
      {{"d><e"}, {"a", "[<end>]", "[<end>]", "b"}, "a", "ad><e", true},
      {{"zz"}, {"[<end>]", "a", "[<end>]"}, "a", "a", false},
      {{"<end>", "a"}, {"ba", "[<end>]"}, "b", "ba", true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.stops[0]);
    StopMatcher without(c.stops, false);
    EXPECT_EQ(run_hidden(without, c.pieces), c.text);
    EXPECT_EQ(without.stopped(), c.stopped);
    StopMatcher with(c.stops, true);
    EXPECT_EQ(run_hidden(with, c.pieces), c.with_stop);
    EXPECT_EQ(with.stopped(), c.stopped);
  }
}

TEST(StopMatcher, HoldsTextBackAcrossHiddenText) {
  StopMatcher matcher({"ab"}, false);
  EXPECT_EQ(matcher.push("xa"), "x");
  EXPECT_EQ(matcher.push_hidden("<end>"), "");
  EXPECT_EQ(matcher.push("c"), "ac");
  EXPECT_EQ(matcher.push_hidden("<end>"), "");
  EXPECT_EQ(matcher.push("a"), "");
  EXPECT_EQ(matcher.flush(), "a");
}

TEST(StopMatcher, AStopThatBeginsInHiddenTextIsNotForgottenForALaterOne) {
  StopMatcher matcher({"<end>xy", "xz"}, false);
  EXPECT_EQ(matcher.push_hidden("<end>"), "");
  EXPECT_EQ(matcher.push("x"), "");  // both may begin here
  EXPECT_EQ(matcher.push("y!"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, AnEmptyStopIsNone) {
  StopMatcher matcher({"", "b"}, false);
  EXPECT_EQ(matcher.push("a"), "a");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.push("cb"), "c");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_TRUE(StopMatcher({""}, false).empty());
}

}  // namespace
}  // namespace openllm::llm
