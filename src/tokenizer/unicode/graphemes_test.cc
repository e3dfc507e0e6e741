#include "tokenizer/unicode/graphemes.h"

#include <string_view>

#include <gtest/gtest.h>

namespace openllm::tokenizer {
namespace {

TEST(Graphemes, MarksJoinWhatIsBeforeThem) {
  EXPECT_EQ(grapheme_end("ab", 0), 1U);
  EXPECT_EQ(grapheme_end("a\u0301b", 0), 3U);
  EXPECT_EQ(grapheme_end("\r\n", 0), 2U);
  EXPECT_EQ(grapheme_end("\u4e2d\u65e5", 0), 3U);
}

// The Hugging Face library knew these before ICU did.
TEST(Graphemes, MarksOfLaterVersionsOfUnicodeToo) {
  for (const char* text : {"A\u0897", "A\u1ae9", "A\U000113cc", "A\U0001e6f5"})
    EXPECT_EQ(grapheme_end(text, 0), std::string_view(text).size()) << text;
  EXPECT_EQ(grapheme_end("A\u0896", 0), 1U);
}

}  // namespace
}  // namespace openllm::tokenizer
