#include "chat/template.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace openllm::chat {
namespace {

const std::vector<Message> kHello = {{.role = "user", .content = "Hello"}};

base::Json special_tokens() {
  return base::Json::parse(R"({"bos_token": "<s>", "eos_token": "</s>"})", "test");
}

std::string render(const std::string& source, const GenerateOptions& options = {}) {
  return Template::parse(source + "{# #}{% if messages %}{% endif %}")
      .render(kHello, options, special_tokens(), {})
      .text;
}

std::string error_of(const std::string& source, const GenerateOptions& options = {}) {
  try {
    return render(source, options);
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
}

TEST(ChatTemplate, SeesMessagesAndSpecialTokens) {
  EXPECT_EQ(
      render("{{ bos_token }}{{ messages[0].role }}: {{ messages[0].content }}{{ eos_token }}"),
      "<s>user: Hello</s>");
}

TEST(ChatTemplate, ToolsAndDocumentsAreNoneUnlessGiven) {
  const std::string source = "{{ tools is none }} {{ documents is none }} {{ tools | length }}";
  EXPECT_EQ(render("{{ tools is none }} {{ documents is none }}"), "True True");
  GenerateOptions options;
  options.tools_json = R"([{"type": "function"}])";
  options.chat_template_json = R"({"documents": ["a"]})";
  EXPECT_EQ(render(source, options), "False False 1");
}

TEST(ChatTemplate, FurtherVariablesComeFromTheOptions) {
  GenerateOptions options;
  options.chat_template_json = R"({"enable_thinking": false, "add_generation_prompt": "ignored"})";
  options.add_generation_prompt = false;
  EXPECT_EQ(render("{{ enable_thinking }} {{ add_generation_prompt }}", options), "False False");
}

TEST(ChatTemplate, OptionsThatAreNotTheirJsonAreRefused) {
  GenerateOptions options;
  options.tools_json = "{}";
  EXPECT_EQ(error_of("x", options).rfind("invalid_argument tools", 0), 0U);
  options.tools_json.clear();
  options.chat_template_json = "[]";
  EXPECT_EQ(error_of("x", options).rfind("invalid_argument chat_template_json", 0), 0U);
}

TEST(ChatTemplate, SeesTheSpecialTokensThatTheModelHas) {
  const std::string source =
      "{{ unk_token }}|{{ pad_token is defined }}|{{ bos_token }}|{{ extra[1] }}";
  const base::Json tokens = base::Json::parse(
      R"({"unk_token": "<unk>", "bos_token": "<s>", "extra": ["a", "b"]})", "test");
  const Template code =
      Template::parse(source + "{# {{ messages }} #}{% if messages %}{% endif %}");
  EXPECT_EQ(code.render(kHello, {}, tokens, {}).text, "<unk>|False|<s>|b");
  // As in transformers, what the request brings goes over it.
  GenerateOptions options;
  options.chat_template_json = R"({"bos_token": "B"})";
  EXPECT_EQ(code.render(kHello, options, tokens, {}).text, "<unk>|False|B|b");
}

TEST(ChatTemplate, OneThatSwallowsTheConversationIsNone) {
  for (const char* source :
       {"", " \n", "Hello!", "{{ bos_token }}{{ message }}", "{# messages #}"}) {
    try {
      Template::parse(source, "dir/chat_template.jinja");
      ADD_FAILURE() << source;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(error.where(), "dir/chat_template.jinja");
    }
  }
  EXPECT_NO_THROW(Template::parse("{% set m = messages %}{{ m }}"));
}

constexpr const char* kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
constexpr const char* kTrims =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor "
    "%}";

std::string continued(const std::string& source, const std::vector<Message>& messages,
                      bool add_generation_prompt = false) {
  GenerateOptions options;
  options.continue_final_message = true;
  options.add_generation_prompt = add_generation_prompt;
  return Template::parse(source).render(messages, options, special_tokens(), {}).text;
}

// The prompts are those of transformers 5.24.
TEST(ContinueFinalMessage, EndsThePromptInsideTheMessage) {
  const Message hi = {.role = "user", .content = "hi"};
  const std::string begin = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
  const auto assistant = [](const char* content) {
    return Message{.role = "assistant", .content = content};
  };
  EXPECT_EQ(continued(kChatMl, {hi, assistant("Sure, ")}), begin + "Sure, ");
  EXPECT_EQ(continued(kTrims, {hi, assistant("Sure, ")}), begin + "Sure,");
  EXPECT_EQ(continued(kTrims, {hi, assistant("Sure")}), begin + "Sure");
  EXPECT_EQ(continued(kChatMl, {hi, assistant("hi")}), begin + "hi");
  EXPECT_EQ(continued(kChatMl, {hi}), "<|im_start|>user\nhi");
  EXPECT_EQ(continued(kChatMl, {assistant("")}), "<|im_start|>assistant\n");
  EXPECT_EQ(continued(kTrims, {hi, assistant("")}),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant");
  const Message parts = {.role = "assistant",
                         .extra_json = R"({"content": [{"type": "text", "text": "a"},
                           {"type": "text", "text": "b "}, {"type": "image"}]})"};
  EXPECT_EQ(continued("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %};"
                      "{% endfor %}",
                      {parts}),
            "ab ");
  EXPECT_EQ(continued("{% for m in messages %}{{ m.content }}, {{ m.content }}!{% endfor %}",
                      {assistant("q")}),
            "q, q");
}

TEST(ContinueFinalMessage, RefusesWhatItCannotContinue) {
  const std::vector<Message> messages = {{.role = "user", .content = "hi"},
                                         {.role = "assistant", .content = "x|y"}};
  const auto refusal = [](const auto& run) -> std::string {
    try {
      run();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(error.where(), "continue_final_message");
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(refusal([&] { continued(kChatMl, messages, true); }).find("add_generation_prompt"),
            std::string::npos);
  for (const char* source : {"{{ messages[0].content }}", "{{ messages[0].role }}",
                             "{% for m in messages %}{{ m.content.split('|')[0] }}{% endfor %}",
                             "{{ messages[-1].content | replace('y', 'z') }}",
                             "{{ messages[-1].content | replace('x', 'z') }}"}) {
    EXPECT_NE(refusal([&] { continued(source, messages); }), "no error") << source;
  }
  for (const char* extra : {R"({"content": null})", R"({"content": []})", R"({"content": 5})",
                            R"({"content": [{"type": "image"}]})"}) {
    EXPECT_NE(refusal([&] { continued(kChatMl, {{.role = "assistant", .extra_json = extra}}); }),
              "no error")
        << extra;
  }
}

TEST(ChatTemplate, ErrorsNameTheChatTemplateAndTheLine) {
  EXPECT_EQ(error_of("\n{{ raise_exception('No system role') }}"),
            "invalid_argument chat template: line 2: No system role");
  EXPECT_EQ(error_of("{% nope %}"),
            "invalid_argument chat template: line 1: Encountered unknown tag 'nope'.");
}

TEST(ChatTemplate, DevelopersAreTheSystemWhereTheTemplateDoesNotLookForThem) {
  const auto role_of = [](const std::string& source) {
    return Template::parse(source)
        .render({{.role = "developer", .content = "Be brief"}}, {}, special_tokens(), {})
        .text;
  };
  EXPECT_EQ(role_of("{{ messages[0].role }}"), "system");
  EXPECT_EQ(role_of("{% if messages[0].role == 'developer' %}dev{% endif %}"), "dev");
  EXPECT_EQ(role_of("{% if messages[0]['role'] in ['developer', 'x'] %}dev{% endif %}"), "dev");
}

}  // namespace
}  // namespace openllm::chat
