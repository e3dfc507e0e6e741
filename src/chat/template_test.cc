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
