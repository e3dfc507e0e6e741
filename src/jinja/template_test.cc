#include "jinja/template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "base/error.h"

namespace openllm::jinja {
namespace {

std::string read(const std::string& name) {
  std::ifstream file(std::string(OPENLLM_TEST_DATA) + "/jinja/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string render(const std::string& source, const std::string& context = "{}") {
  return Template::parse(source).render(base::Json::parse(context, "context"));
}

/// The error of rendering, or "" when there is none.
std::string error_of(const std::string& source, const std::string& context = "{}",
                     const Limits& limits = {}) {
  try {
    Template::parse(source).render(base::Json::parse(context, "context"), limits);
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "";
}

/// One golden: the same output, or an error where Jinja has one.
void expect_golden(const base::Json& golden, const std::string& source, const base::Json& context) {
  const base::Json* output = golden.find("output");
  try {
    const std::string got = Template::parse(source).render(context);
    ASSERT_NE(output, nullptr) << "Jinja fails: " << *golden.find("error")->if_string() << "; got "
                               << got;
    EXPECT_EQ(got, *output->if_string());
  } catch (const Error& error) {
    EXPECT_EQ(output, nullptr) << error.what();
  }
}

TEST(JinjaTemplate, ExpressionsAndStatementsAgreeWithJinja) {
  const base::Json goldens = base::Json::parse(read("expressions.json"), "goldens");
  const base::JsonArray& cases = goldens.find("cases")->as_array("cases");
  EXPECT_GT(cases.size(), 900U);
  for (const base::Json& golden : cases) {
    const std::string& source = *golden.find("template")->if_string();
    SCOPED_TRACE(source);
    expect_golden(golden, source, *goldens.find("context"));
  }
}

TEST(JinjaTemplate, RealTemplatesAgreeWithJinja) {
  const base::Json goldens = base::Json::parse(read("templates.json"), "goldens");
  const std::string& prefix = *goldens.find("prefix")->if_string();
  for (const base::Json& golden : goldens.find("cases")->as_array("cases")) {
    const std::string& name = *golden.find("template")->if_string();
    const std::string& conversation = *golden.find("conversation")->if_string();
    SCOPED_TRACE(name + " / " + conversation);
    expect_golden(golden, prefix + read("templates/" + name + ".jinja"),
                  *goldens.find("conversations")->find(conversation));
  }
}

TEST(JinjaTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(error_of("a\n\n{{ raise_exception('Roles must alternate') }}"),
            "invalid_argument template: line 3: Roles must alternate");
  EXPECT_EQ(error_of("a\n{% if x %}\n{{ y.z }}\n{% endif %}", R"({"x": 1})"),
            "invalid_argument template: line 3: 'y' is undefined");
  EXPECT_EQ(error_of("\n{{ 'a' | nope }}"),
            "invalid_argument template: line 2: No filter named 'nope'.");
  EXPECT_EQ(error_of("\n\n{% nope %}"),
            "invalid_argument template: line 3: Encountered unknown tag 'nope'.");
  EXPECT_EQ(error_of("{{ d.x.y }}", R"({"d": {}})"),
            "invalid_argument template: line 1: 'dict object' has no attribute 'x'");
}

TEST(JinjaTemplate, RoundingBeyond64BitsIsAnError) {
  for (const char* number : {"9223372036854775807", "(-9223372036854775807 - 1)"}) {
    EXPECT_EQ(error_of(base::cat("{{ ", number, " | round(-1) }}")),
              "invalid_argument template: line 1: "
              "integer is out of range (expected at most 64 bits)");
  }
  EXPECT_EQ(render("{{ 9223372036854775804 | round(-1) }}"), "9223372036854775800");
}

TEST(JinjaTemplate, ForbidsChanges) {
  EXPECT_NE(error_of("{{ l.append(1) }}", R"({"l": []})").find("unsafe"), std::string::npos);
  EXPECT_NE(error_of("{{ d.update({}) }}", R"({"d": {}})").find("unsafe"), std::string::npos);
  EXPECT_NE(error_of("{{ ''.__class__.__mro__ }}").find("unsafe"), std::string::npos);
}

TEST(JinjaTemplate, ContextMayHaveAnyName) {
  EXPECT_EQ(render("{{ range }}{{ loop }}", R"({"range": 1, "loop": 2})"), "12");
  EXPECT_EQ(render("{{ tools is none }}{{ x is defined }}", R"({"tools": null})"), "TrueFalse");
}

TEST(JinjaTemplate, RepairsInvalidUtf8) {
  base::Json context = base::Json::object();
  context["x"] = base::Json(
      "a\xFF"
      "b");
  EXPECT_EQ(Template::parse("\xC3{{ x | length }}{{ x }}").render(context),
            "\xEF\xBF\xBD"
            "3a\xEF\xBF\xBD"
            "b");
}

TEST(JinjaTemplate, TimeNow) {
  EXPECT_EQ(render("{{ strftime_now('%Y') | length }}"), "4");
  EXPECT_EQ(render("[{{ strftime_now('') }}]"), "[]");
  EXPECT_EQ(render("[{{ strftime_now('%z%Z%:z%%z%%f|%') }}]"), "[%z%f|%]");
  EXPECT_EQ(render("{{ strftime_now('%f') | length }}{{ strftime_now('%f') | int is number }}"),
            "6True");
}

TEST(JinjaTemplate, TheOutputMayBeAsLongAsItsLimitAndNoLonger) {
  Limits limits;
  limits.max_output_bytes = 9;
  EXPECT_EQ(error_of("{{ x }}{{ x }}b", R"({"x": "aaaa"})", limits), "");
  EXPECT_NE(error_of("{{ x }}{{ x }}bb", R"({"x": "aaaa"})", limits).find("output is too long"),
            std::string::npos);
}

TEST(JinjaTemplate, WholeQuotientsAreExact) {
  EXPECT_EQ(
      render(
          "{{ -4 // 2 }} {{ 4 // -2 }} {{ -5 // 2 }} {{ 5 // -2 }} {{ -5 // -2 }} {{ 0 // -3 }}"),
      "-2 -2 -3 -3 2 0");
}

TEST(JinjaTemplate, CommentsTakeTheLineEndWithThemUnlessTheySayPlus) {
  EXPECT_EQ(render("a{# c #}\nb"), "ab");
  EXPECT_EQ(render("a{# c +#}\nb"), "a\nb");
  EXPECT_EQ(render("a{# c -#}\n b"), "ab");
}

TEST(JinjaTemplate, JoinersPutACommaBetween) {
  EXPECT_EQ(render("{% set j = joiner() %}{% for x in [1, 2, 3] %}{{ j() }}{{ x }}{% endfor %}"),
            "1, 2, 3");
}

TEST(JinjaTemplate, OnlyWhatCanBeChangedHasUnsafeMethods) {
  EXPECT_NE(error_of("{{ [1].append(2) }}").find("unsafe"), std::string::npos);
  EXPECT_EQ(error_of("{{ (1,).append(2) }}").find("unsafe"), std::string::npos);
  EXPECT_NE(error_of("{{ (1,).append(2) }}").find("has no attribute 'append'"), std::string::npos);
}

TEST(JinjaTemplate, ChangedLooksAtAllOfItsValues) {
  EXPECT_EQ(render("{% for x in [[1, 2], [1], [1, 2], [1, 2], [1, 3], []] %}"
                   "{{ loop.changed(*x) }} {% endfor %}"),
            "True True True False True True ");
}

class HostileTemplate : public testing::TestWithParam<const char*> {};

TEST_P(HostileTemplate, EndsWithAnError) {
  Limits limits;
  limits.max_operations = 2'000'000;
  limits.max_output_bytes = 1U << 20U;
  const std::string error = error_of(GetParam(), "{}", limits);
  EXPECT_EQ(error.rfind("resource_exhausted template: line ", 0), 0U) << error;
}

constexpr const char* kHostile[] = {
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}",
    "{{ 'a' * 1000000000 }}",
    "{{ [0] * 1000000000 }}",
    "{{ 'abc' * 9223372036854775807 }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor "
    "%}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor "
    "%}"
    "{{ ns.x }}",
    "{% set ns = namespace(x=1, y=1) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
    "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
    "{% set ns = namespace(x=1) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
    "{{ ns.x | tojson }}",
    "{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
    "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x | map('upper') %}"
    "{% endfor %}",
    "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 'a' | indent(1000000000, true) }}",
    "{{ [[[1]]] | tojson(indent=100000000) }}",
    "{% for i in range(9999) %}{{ range(99999) | list | length }}{% endfor %}",
    "{% for i in range(9999) %}{{ range(99999) | sum }}{% endfor %}",
};

INSTANTIATE_TEST_SUITE_P(All, HostileTemplate, testing::ValuesIn(kHostile));

TEST(JinjaTemplate, DeepSourceIsAnError) {
  const auto nested = [](const std::string& open, const std::string& close, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += open;
    out += "1";
    for (int i = 0; i < n; ++i) out += close;
    return out;
  };
  for (const auto& [open, close] :
       std::vector<std::pair<std::string, std::string>>{{"(", ")"},
                                                        {"[", "]"},
                                                        {"not ", ""},
                                                        {"-", ""},
                                                        {"{1:", "}"},
                                                        {"x[", "]"},
                                                        {"x(", ")"},
                                                        {"1 if 1 else ", ""}}) {
    SCOPED_TRACE(open);
    EXPECT_NE(error_of("{{ " + nested(open, close, 50000) + " }}"), "");
  }
  EXPECT_NE(error_of(nested("{% if 1 %}", "{% endif %}", 20000)), "");
  EXPECT_NE(error_of("{{ x" + nested(".a", "", 50000) + " }}"), "");
  EXPECT_NE(error_of("{{ x" + nested("|list", "", 50000).substr(0, 250000) + " }}"), "");
  EXPECT_EQ(render("{{ 1" + nested(" + 1", "", 20000).substr(0, 80000) + " }}"), "20001");
}

TEST(JinjaTemplate, CyclesAreFreed) {  // seen by the leak checker of the sanitizer builds
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% set ns.a = namespace(b=ns) %}"
             "{% macro m() %}{{ ns }}{% endmacro %}{% set ns.m = m %}"
             "{% for x in [1, 2] %}{% set ns.l = loop %}{% set ns.c = loop.changed %}{% endfor %}"
             "{{ ns.c(ns.c) }}"),
      "True");
}

TEST(JinjaTemplate, RendersOnManyThreads) {
  const Template shared =
      Template::parse("{% for m in messages %}{{ m.role | upper }}{% endfor %}");
  const base::Json context =
      base::Json::parse(R"({"messages": [{"role": "a"}, {"role": "b"}]})", "c");
  std::vector<std::string> out(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& each : out) {
      threads.emplace_back([&each, &shared, &context] {
        for (int i = 0; i < 200; ++i) each = shared.render(context);
      });
    }
  }
  EXPECT_EQ(out, std::vector<std::string>(4, "AB"));
}

TEST(SoughtTexts, AreThoseThatTheTemplateComparesWith) {
  const auto sought = [](const std::string& source) {
    std::string all;
    for (const std::string& text : Template::parse(source).sought_texts()) all += text + ";";
    return all;
  };
  EXPECT_EQ(sought("{{ 'a' + m ~ 'b' }}{{ 'c' }}{% set x = 'd' %}text{{ f('e') }}{{ x['f'] }}"),
            "");
  EXPECT_EQ(sought("{% if 'a' in m and m != 'b' or 'c' not in m %}{% endif %}"), "a;b;c;");
  EXPECT_EQ(sought("{{ m.split('a')[0].rstrip('b') }}{{ m | replace('c', 'd') }}"), "a;b;c;d;");
  EXPECT_EQ(sought("{{ m is eq('a') }}{{ m.startswith(('b', 'c')) }}{{ m.x(k='d') }}"), "a;b;c;d;");
  EXPECT_EQ(sought("{% macro f(p='a' == q) %}{% for i in m if i == 'b' %}{{ m.s('c') }}{% endfor %}"
                   "{% endmacro %}{% set y %}{{ m == 'd' }}{% endset %}"),
            "a;b;c;d;");
}

}  // namespace
}  // namespace openllm::jinja
