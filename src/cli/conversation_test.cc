#include "cli/conversation.h"

#include <gtest/gtest.h>

#include <string>

#include "openllm/error.h"

namespace openllm::cli {
namespace {

/// The roles' first letters and the texts: "sBe brief. uhi".
std::string shown(const Conversation& conversation) {
  std::string text;
  for (const Message& message : conversation.messages())
    text += (text.empty() ? "" : " ") + message.role.substr(0, 1) + message.content;
  return text;
}

TEST(Conversation, DropsWholeTurnsAndKeepsTheSystemMessage) {
  Conversation conversation("S");
  EXPECT_FALSE(conversation.drop_oldest_turn());
  conversation.ask("1");
  conversation.answer("one");
  conversation.ask("2");
  conversation.answer("two");
  conversation.ask("3");
  EXPECT_EQ(conversation.n_turns(), 3U);
  EXPECT_TRUE(conversation.drop_oldest_turn());
  EXPECT_EQ(shown(conversation), "sS u2 atwo u3");
  EXPECT_TRUE(conversation.drop_oldest_turn());
  EXPECT_EQ(shown(conversation), "sS u3");
  EXPECT_FALSE(conversation.drop_oldest_turn());
  EXPECT_EQ(shown(conversation), "sS u3");
}

TEST(Conversation, DropsWhatStandsBeforeTheFirstQuestionWithIt) {
  Conversation conversation("");
  conversation.from_json(base::Json::parse(
      R"([{"role":"assistant","content":"hello"},{"role":"user","content":"1"},
          {"role":"assistant","content":"call","tool_calls":[]},{"role":"tool","content":"t"},
          {"role":"user","content":"2"}])",
      "test"));
  EXPECT_TRUE(conversation.drop_oldest_turn());
  EXPECT_EQ(shown(conversation), "u2");
}

TEST(Conversation, TakesBackOnlyWhatHasNoAnswer) {
  Conversation conversation("S");
  conversation.take_back();
  EXPECT_EQ(shown(conversation), "sS");
  conversation.ask("1");
  conversation.take_back();
  EXPECT_EQ(shown(conversation), "sS");
  conversation.ask("1");
  conversation.answer("one");
  conversation.take_back();
  EXPECT_EQ(shown(conversation), "sS u1 aone");
}

TEST(Conversation, ClearsTurnsAndBeginsAnew) {
  Conversation conversation("S");
  conversation.ask("1");
  conversation.clear();
  EXPECT_EQ(shown(conversation), "sS");
  conversation.ask("1");
  conversation.begin_anew("T");
  EXPECT_EQ(shown(conversation), "sT");
  EXPECT_EQ(conversation.system(), "T");
  conversation.begin_anew("");
  EXPECT_EQ(shown(conversation), "");
  EXPECT_EQ(conversation.system(), "");
}

TEST(Conversation, ComesBackFromItsJson) {
  const std::string text = R"([{"role":"system","content":"S"},{"role":"user","content":"1"},)"
                           R"({"role":"assistant","content":"one","reasoning_content":"hm"}])";
  Conversation conversation("");
  conversation.from_json(base::Json::parse(text, "test"));
  EXPECT_EQ(conversation.to_json().dump(), text);
  EXPECT_EQ(conversation.system(), "S");
}

TEST(Conversation, RefusesWhatIsNoConversation) {
  Conversation conversation("S");
  conversation.ask("1");
  for (const char* bad : {R"({"role":"user"})", R"(["hi"])", R"([{"content":"x"}])",
                          R"([{"role":"user","content":5}])", R"([{"role":7,"content":"x"}])",
                          R"([{"role":"user","content":"x"},{"role":"system","content":"x"}])"}) {
    EXPECT_THROW(conversation.from_json(base::Json::parse(bad, "test")), Error) << bad;
    EXPECT_EQ(shown(conversation), "sS u1") << bad;
  }
}

}  // namespace
}  // namespace openllm::cli
