#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace openllm::cli {
namespace {

TEST(WithoutControls, LeavesTextAlone) {
  const std::string text = "tab\tline\nH\xC3\xA9 \xC2\xA0\xE6\x97\xA5 \xF0\x9F\x98\x80 cut: \xC2";
  EXPECT_EQ(without_controls(text), text);
  EXPECT_EQ(without_controls(""), "");
  const std::string_view goes_on("a\xC2\x80", 2);  // in memory, where the text has ended
  EXPECT_EQ(without_controls(goes_on), goes_on);
}

TEST(WithoutControls, TakesOrdersToTheTerminalAway) {
  EXPECT_EQ(without_controls("a\033[2Jb"), "a\xEF\xBF\xBD[2Jb");
  EXPECT_EQ(without_controls("\a\b\x7F"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(without_controls("\xC2\x9B"
                             "2J\xC2\x80"),
            "\xEF\xBF\xBD"
            "2J\xEF\xBF\xBD");
  EXPECT_EQ(without_controls("one\r\ntwo\rthree"), "one\ntwothree");
  EXPECT_EQ(without_controls(std::string_view("\0x", 2)), "\xEF\xBF\xBDx");
}

}  // namespace
}  // namespace openllm::cli
