// Control words in what a request says are text; those of the template are tokens.

#include "chat/control_words.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/utf8.h"
#include "chat/template.h"

namespace openllm::chat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ControlWords, AreFoundInsideOfTexts) {
  const ControlWords words({"<|im_end|>", "<|im_start|>", "</s>", "<s>", "\n\n", "x", ""});
  EXPECT_THAT(words.find(""), IsEmpty());
  EXPECT_THAT(words.find("a < b </p> <|im_|> x \n\n"), IsEmpty());
  EXPECT_THAT(words.find("<|im_end|>"), ElementsAre(1));
  EXPECT_THAT(words.find("a</s><s>b"), ElementsAre(2, 6));
  EXPECT_THAT(words.find("<|IM_End|>!"), ElementsAre(1));
  EXPECT_THAT(words.find("<<s>"), ElementsAre(2));
  // What another text may complete.
  EXPECT_THAT(words.find("a <"), ElementsAre(3));
  EXPECT_THAT(words.find("a <|im_s"), ElementsAre(3));
  EXPECT_THAT(words.find("a <|im_q"), IsEmpty());
  const ControlWords wide({"\uFF5Cend\uFF5C"});
  EXPECT_THAT(wide.find("\uFF5Cend\uFF5C"), ElementsAre(3, 9));  // it ends as it begins
  EXPECT_THAT(wide.find("\xEF\xBD"), ElementsAre(2));  // no whole character, but no crash either
  EXPECT_THAT(ControlWords().find("<|im_end|>"), IsEmpty());
}

TEST(ControlWords, OfManyThatBeginAlikeTheRightOneIsFound) {
  std::vector<std::string> many;
  for (int i = 0; i < 3000; ++i) many.push_back("<unused" + std::to_string(i) + ">");
  const ControlWords words(many);
  EXPECT_THAT(words.find("<unused2999> <unused3000> <unused> <unused17>."), ElementsAre(1, 36));
}

TEST(ControlRules, SpecialTokensAndThoseOfTheTemplate) {
  const std::vector<ControlToken> tokens = {
      {"<|im_end|>", true}, {"</think>", true}, {"<tool>", false}, {"<other>", false}};
  const ControlRules rules = make_control_rules(tokens, "<tool>{{ messages }}", {"a</think>b"});
  EXPECT_THAT(rules.anybody.find("<|im_end|></think><tool><other>"), ElementsAre(1, 11, 19));
  EXPECT_THAT(rules.assistant.find("<|im_end|></think><tool><other>"), ElementsAre(1));
}

const std::vector<ControlToken> kTokens = {
    {"<|im_start|>", true}, {"<|im_end|>", true}, {"</think>", true}, {"[TOOL]", true}};

constexpr const char* kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content | trim }}<|im_end|>\n{% endfor %}{{ tools | tojson }}";

/// The prompt with a '^' at each guard.
std::string guarded(const std::string& source, const std::vector<Message>& messages,
                    GenerateOptions options = {}) {
  const Template code = Template::parse(source);
  const ControlRules rules = make_control_rules(kTokens, source, code.sought_texts());
  RenderedPrompt prompt = code.render(messages, options, base::Json::object(), rules);
  for (auto at = prompt.guards.rbegin(); at != prompt.guards.rend(); ++at)
    prompt.text.insert(*at, "^");
  return prompt.text;
}

TEST(ControlMarks, StandWhereMessagesSayControlWords) {
  EXPECT_EQ(guarded(kChatMl, {{.role = "user", .content = " hi<|im_end|> "}}),
            "<|im_start|>user\nhi<^|im_end|><|im_end|>\nnull");
  EXPECT_EQ(guarded(kChatMl, {{.role = "user", .content = "a <"}}),
            "<|im_start|>user\na <^<|im_end|>\nnull");
  EXPECT_EQ(guarded(kChatMl, {{.role = "user", .content = "nothing"}}),
            "<|im_start|>user\nnothing<|im_end|>\nnull");
  EXPECT_EQ(guarded(kChatMl, {{.role = "u<|im_end|>", .content = ""}}),
            "<|im_start|>u<^|im_end|>\n<|im_end|>\nnull");
}

TEST(ControlMarks, GoThroughWhatTemplatesDoWithTexts) {
  const auto of = [](const std::string& expression) {
    return guarded("{% for m in messages %}{{ " + expression + " }}{% endfor %}",
                   {{.role = "user", .content = "a<|IM_END|>b"}});
  };
  EXPECT_EQ(of("m.content | lower"), "a<^|im_end|>b");
  EXPECT_EQ(of("m.content | upper"), "A<^|IM_END|>B");
  EXPECT_EQ(of("m.content | replace('a', '')"), "<^|IM_END|>b");
  EXPECT_EQ(of("m.content[1:] ~ '!'"), "<^|IM_END|>b!");
  EXPECT_EQ(of("m.content.split('b')[0]"), "a<^|IM_END|>");
  EXPECT_EQ(of("m.content | tojson"), "\"a<^|IM_END|>b\"");
  EXPECT_EQ(of("m.content | tojson(ensure_ascii=true)"), "\"a<^|IM_END|>b\"");
  EXPECT_EQ(of("m.content | urlencode"), "a%3C^%7CIM_END%7C%3Eb");
  EXPECT_EQ(of("{'k': m.content}"), "{'k': 'a<^|IM_END|>b'}");
  EXPECT_EQ(of("m.content | e"), "a&lt;^|IM_END|&gt;b");
}

TEST(ControlMarks, TwoTextsCannotMakeAWord) {
  EXPECT_EQ(guarded("{% for m in messages %}{{ m.content }}{% endfor %}",
                    {{.role = "user", .content = "<|im_"}, {.role = "user", .content = "end|>"}}),
            "<^|im_end|>");
}

TEST(ControlMarks, ToolsAndVariablesAreMarkedToo) {
  GenerateOptions options;
  options.tools_json = R"([{"<|im_end|>": "x[TOOL]"}])";
  options.chat_template_json = R"({"today": "</think>"})";
  EXPECT_EQ(guarded("{{ messages | length }}{{ tools | tojson }}{{ today }}",
                    {{.role = "user", .content = "x"}}, options),
            "1[{\"<^|im_end|>\": \"x[^TOOL]\"}]<^/think>");
}

TEST(ControlMarks, TheAssistantMayHaveWhatTheTemplateLooksFor) {
  const std::string source =
      "{% for m in messages %}{{ m.content.split('</think>') | join('|') }};{% endfor %}";
  EXPECT_EQ(guarded(source, {{.role = "assistant", .content = "a</think>b<|im_end|>"},
                             {.role = "user", .content = "a</think>b"}}),
            "a|b<^|im_end|>;a<^/think>b;");
}

TEST(ControlMarks, CanBeLeftOut) {
  GenerateOptions options;
  options.special_tokens_in_messages = true;
  EXPECT_EQ(guarded(kChatMl, {{.role = "user", .content = "hi<|im_end|>"}}, options),
            "<|im_start|>user\nhi<|im_end|><|im_end|>\nnull");
}

TEST(ControlMarks, NoTextCanPassForAMark) {
  const std::string first = unused_character({});
  EXPECT_EQ(guarded(kChatMl, {{.role = "user", .content = first + "<|im_end|>" + first}}),
            "<|im_start|>user\n" + first + "<^|im_end|>" + first + "<|im_end|>\nnull");
  std::string all;
  for (char32_t c = 0x20000; c <= 0x2A6DF; ++c) base::append_utf8(all, c);
  EXPECT_EQ(unused_character({all}), "");
  const std::size_t middle = all.size() / 8 * 4;
  EXPECT_EQ(unused_character({all.substr(0, middle), all.substr(middle + 4)}),
            all.substr(middle, 4));
  try {
    guarded(kChatMl, {{.role = "user", .content = all + "<|im_end|>"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.where(), "messages");
  }
}

}  // namespace
}  // namespace openllm::chat
