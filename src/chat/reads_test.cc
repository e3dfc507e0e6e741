#include "chat/reads.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace openllm::chat {
namespace {

/// "where|message" of the refusal, or "".
std::string refusal(const std::string& source, const GenerateOptions& options,
                    const std::string& extra = {}) {
  const jinja::Template code = jinja::Template::parse(source);
  const std::vector<Message> messages = {{.role = "system", .content = "Be brief"},
                                         {.role = "user", .content = "Hello", .extra_json = extra}};
  try {
    require_read(code, messages, options, "a/b");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.reason(), ErrorReason::kUnsupportedField);
    return std::string(error.where()) + "|" + error.what();
  }
  return "";
}

const std::string kPlain =
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endfor %}";

TEST(RequireRead, ToolsThatTheTemplateDoesNotReadAreRefused) {
  GenerateOptions options;
  options.tools_json = R"([{"type":"function"}])";
  EXPECT_EQ(refusal(kPlain, options),
            "tools_json|tools_json: unsupported (the chat template of a/b never reads tools)");
  EXPECT_EQ(refusal("{% if tools %}{{ tools }}{% endif %}" + kPlain, options), "");
  EXPECT_EQ(refusal("{% macro f() %}{{ tools[0].type }}{% endmacro %}" + kPlain, options), "");
  options.tools_json = "[]";
  EXPECT_EQ(refusal(kPlain, options), "") << "none";
}

TEST(RequireRead, VariablesThatTheTemplateDoesNotReadAreRefused) {
  GenerateOptions options;
  options.chat_template_json = R"({"enable_thinking":false})";
  EXPECT_EQ(refusal(kPlain, options),
            "chat_template_json.enable_thinking|chat_template_json.enable_thinking: unsupported "
            "(the chat template of a/b never reads enable_thinking)");
  EXPECT_EQ(refusal(kPlain + "{% if enable_thinking is defined %}x{% endif %}", options), "");
  // Set, but never read.
  EXPECT_NE(refusal("{% set enable_thinking = true %}" + kPlain, options), "");
  options.chat_template_json = R"({"enable_thinking":null})";
  EXPECT_EQ(refusal(kPlain, options), "");
}

TEST(RequireRead, MembersOfMessagesThatTheTemplateDoesNotReadAreRefused) {
  const std::string name = R"({"name":"Ann"})";
  EXPECT_EQ(refusal(kPlain, {}, name),
            "messages[1].name|messages[1].name: unsupported (the chat template of a/b never reads "
            "name)");
  for (const char* reading :
       {"{% for m in messages %}{{ m.name }}{% endfor %}",
        "{% for m in messages %}{{ m['name'] }}{% endfor %}",
        "{% for m in messages %}{{ m.get('name') }}{% endfor %}",
        "{% for m in messages %}{{ 'x' if 'name' in m }}{% endfor %}",
        "{% for m in messages %}{{ m | tojson }}{% endfor %}",
        "{{ messages }}",
        "{{ messages[1].name }}",
        "{{ (messages | last).name }}",
        "{{ messages[1:][0].name }}",
        "{% for m in messages %}{% for k in ['name'] %}{{ m[k] }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% for k, v in m.items() %}{{ v }}{% endfor %}{% endfor %}",
        "{% set first = messages[0] %}{{ first.name }}",
        "{% set ns = namespace(last=messages[1]) %}{{ ns.last.name }}",
        "{% set ns = namespace() %}{% set ns.last = messages[1] %}{{ ns.last.name }}",
        "{% macro show(m) %}{{ m.name }}{% endmacro %}{% for m in messages %}{{ show(m) }}{% "
        "endfor %}",
        "{% for m in messages | selectattr('name') %}x{% endfor %}",
        "{{ messages | map(attribute='name') | join }}",
        "{% for m in messages %}{{ loop.previtem.name }}{% endfor %}",
        "{% for m in messages %}{% with other = m %}{{ other.name }}{% endwith %}{% endfor %}",
        "{{ (messages + [{}])[1].name }}",
        "{{ dict(messages[1]) }}",
        "{% for m in messages %}{{ 'a' ~ m }}{% endfor %}"}) {
    EXPECT_EQ(refusal(reading, {}, name), "") << reading;
  }
  // The name of something else.
  EXPECT_NE(refusal(kPlain + "{% for t in tools %}{{ t.name }}{% endfor %}", {}, name), "");
  EXPECT_NE(refusal(kPlain + "{{ messages | length }}{{ 'name' }}", {}, name), "");
}

TEST(RequireRead, ResultsOfToolsMayHaveTheirLabels) {
  const jinja::Template code = jinja::Template::parse(kPlain);
  for (const char* role : {"tool", "function"}) {
    EXPECT_NO_THROW(require_read(
        code, {{.role = role, .content = "5", .extra_json = R"({"tool_call_id":"1","name":"f"})"}},
        {}, "a/b"));
  }
}

TEST(RequireRead, WhatSaysNothingMayBeThere) {
  for (const char* extra :
       {R"({"name":null})", R"({"prefix":false})", R"({"tool_call_id":"1"})",
        R"({"reasoning_content":""})", R"({"x":[]})", R"({"x":{}})", R"({"content":null})"}) {
    EXPECT_EQ(refusal(kPlain, {}, extra), "") << extra;
  }
  for (const char* extra : {R"({"prefix":true})", R"({"tool_calls":[{}]})",
                            R"({"reasoning_content":"x"})", R"({"x":0})"})
    EXPECT_NE(refusal(kPlain, {}, extra), "") << extra;
}

}  // namespace
}  // namespace openllm::chat
