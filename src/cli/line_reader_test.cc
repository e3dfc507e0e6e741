#include "cli/line_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace openllm::cli {
namespace {

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

TEST(PasteFilter, EveryPasteHasLineEndsOfItsOwn) {
  PasteFilter filter;
  // A line end of two bytes is one; in two pastes they are two.
  EXPECT_EQ(PasteFilter::restore(filter.push("\033[200~a\r\nb\033[201~")), "a\nb");
  EXPECT_EQ(PasteFilter::restore(filter.push("\033[200~a\r\033[201~\033[200~\nb\033[201~")),
            "a\n\nb");
  EXPECT_EQ(PasteFilter::restore(filter.push("\033[200~\n\r\n\n\033[201~")), "\n\n\n");
}

}  // namespace
}  // namespace openllm::cli
