#include "base/message_json.h"

#include <gtest/gtest.h>

namespace openllm::base {
namespace {

TEST(MessagesToJson, ExtraMembersFollowAndWin) {
  EXPECT_EQ(messages_to_json({}).dump(), "[]");
  EXPECT_EQ(
      messages_to_json(
          {{.role = "user", .content = "a\"b"},
           {.role = "tool", .content = "x", .extra_json = R"({"name": "f", "content": [1]})"}})
          .dump(),
      R"([{"role":"user","content":"a\"b"},{"role":"tool","content":[1],"name":"f"}])");
}

TEST(MessagesToJson, ExtraMustBeAnObject) {
  for (const char* bad : {"[]", "{", "null", "1"}) {
    try {
      messages_to_json({{.role = "user", .extra_json = bad}});
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_TRUE(std::string_view(error.what()).starts_with("messages[0].extra_json: "));
    }
  }
}

}  // namespace
}  // namespace openllm::base
