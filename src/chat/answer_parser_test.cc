#include "chat/answer_parser.h"

#include <gtest/gtest.h>

#include <set>

namespace openllm::chat {
namespace {

TEST(AnswerParsers, HaveNamesAndAreMade) {
  std::set<std::string_view> names;
  for (const AnswerParserEntry& entry : answer_parsers()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_EQ(find_answer_parser(entry.name), &entry);
    EXPECT_NE(entry.make({}), nullptr);
  }
  EXPECT_EQ(answer_parsers().front().name, "text");
  EXPECT_EQ(find_answer_parser("nope"), nullptr);
}

TEST(TextParser, EverythingIsContentAtOnce) {
  const auto parser = find_answer_parser("text")->make({});
  Segments out;
  EXPECT_FALSE(parser->is_markup("<think>"));
  parser->push_text("<thi", out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].text, "<thi");
  parser->push_text("", out);
  parser->push_text("nk>", out);
  parser->flush(out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].kind, SegmentKind::kContent);
  EXPECT_EQ(out[0].text, "<think>");
}

TEST(AppendSegment, JoinsWhatIsOne) {
  Segments out;
  append_segment(out, SegmentKind::kReasoning, "");
  EXPECT_TRUE(out.empty());
  append_segment(out, SegmentKind::kReasoning, "a");
  append_segment(out, SegmentKind::kReasoning, "b");
  append_segment(out, SegmentKind::kToolCall, "{}", 0);
  append_segment(out, SegmentKind::kToolCall, "[]", 1);
  append_segment(out, SegmentKind::kContent, "c");
  ASSERT_EQ(out.size(), 4U);
  EXPECT_EQ(out[0].text, "ab");
  EXPECT_EQ(out[1].text, "{}");
  EXPECT_EQ(out[2].text, "[]");
  EXPECT_EQ(out[3].kind, SegmentKind::kContent);
}

}  // namespace
}  // namespace openllm::chat
