#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/failing_new.h"
#include "base/utf8.h"

namespace openllm::base {
namespace {

Json parse(std::string_view text, int max_depth = 256) {
  return Json::parse(text, "test", max_depth);
}

std::string error_of(std::string_view text, int max_depth = 256) {
  try {
    (void)parse(text, max_depth);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(Json, KeepsOrderAndExactIntegers) {
  const char* text =
      R"({"z":1,"a":[true,false,null],"m":{"x":"y"},"i":9223372036854775807,"n":-9223372036854775808})";
  EXPECT_EQ(parse(text).dump(), text);
  EXPECT_EQ(parse(" [ 1 , 2.5 , -0.0 , 1e3 ] ").dump(), "[1,2.5,-0.0,1000.0]");
  EXPECT_TRUE(parse("1").is_int());
  EXPECT_FALSE(parse("1.0").is_int());
  EXPECT_FALSE(parse("9223372036854775808").is_int());
  EXPECT_EQ(parse("18446744073709551615").as_double("t"), 18446744073709551615.0);
}

TEST(Json, StringsAndEscapes) {
  EXPECT_EQ(parse(R"("\u0041\n\t\"\\\/\ud83d\ude00")").as_string("t"),
            "A\n\t\"\\/\xF0\x9F\x98\x80");
  EXPECT_EQ(Json("a\x01\x1f\"\\\n\r\t\b\f").dump(), R"("a\u0001\u001f\"\\\n\r\t\b\f")");
  EXPECT_EQ(Json(std::string_view("a\0b", 3)).dump(), R"("a\u0000b")");
  EXPECT_EQ(Json("\xFFx").dump(), "\"\xEF\xBF\xBDx\"");
  EXPECT_EQ(parse(R"("\u0000")").as_string("t"), std::string_view("\0", 1));
}

TEST(Json, NumbersThatJsonCannotSay) {
  EXPECT_EQ(Json(std::numeric_limits<double>::quiet_NaN()).dump(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, DoublesSurviveTheRoundTrip) {
  for (const double value :
       {0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.123}) {
    const Json again = parse(Json(value).dump());
    EXPECT_FALSE(again.is_int()) << value;
    EXPECT_EQ(again.as_double("t"), value);
    EXPECT_EQ(std::signbit(again.as_double("t")), std::signbit(value));
  }
}

TEST(Json, InvalidTextNamesThePlace) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":1,}",
                           "[1,]",
                           "tru",
                           "nan",
                           "01",
                           "1.",
                           "+1",
                           "'a'",
                           "\"a",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\x01\"",
                           "\"\xff\"",
                           "1 2",
                           "[]x",
                           "// c\n1",
                           "\"\xed\xa0\x80\"",
                           "{1:2}",
                           "]",
                           "[}",
                           ".5",
                           "1e",
                           "-",
                           "Infinity"}) {
    EXPECT_NE(error_of(text).find("test: invalid JSON at byte "), std::string::npos)
        << text << " -> " << error_of(text);
  }
  EXPECT_NE(error_of("[1, x]").find("at byte 5"), std::string::npos) << error_of("[1, x]");
}

TEST(Json, ANulIsNoEnd) {
  EXPECT_EQ(error_of(std::string_view("{}\0garbage", 10)),
            "test: invalid JSON at byte 3: NUL byte");
  EXPECT_NE(error_of(std::string_view("{}\0", 3)), "");
  EXPECT_NE(error_of(std::string_view("\"a\0b\"", 5)), "");
  EXPECT_NE(error_of(std::string_view("\0", 1)), "");
}

TEST(Json, MessagesStayShort) {
  const std::string message = error_of("[\"" + std::string(100000, 'x'));
  EXPECT_LT(message.size(), 300U) << message;
  EXPECT_TRUE(is_valid_utf8(error_of("\"" + std::string(100000, '\xC3'))));
}

TEST(Json, HugeNumbersDoNotCrash) {
  EXPECT_NE(error_of("1e999"), "");
  EXPECT_EQ(parse("1e-999").as_double("t"), 0.0);
  EXPECT_GT(parse(std::string(300, '9')).as_double("t"), 1e299);
}

TEST(Json, DepthIsBounded) {
  const std::string deep = std::string(256, '[') + std::string(256, ']');
  EXPECT_EQ(parse(deep).dump(), deep);
  EXPECT_NE(error_of("[" + deep + "]").find("nesting is too deep (expected at most 256 levels)"),
            std::string::npos);
  EXPECT_NE(error_of(std::string(1000000, '[')), "");
  std::string objects;
  for (int i = 0; i < 1000000; ++i) objects += "{\"a\":";
  EXPECT_NE(error_of(objects), "");
  EXPECT_EQ(parse("[[1]]", 2).dump(), "[[1]]");
  EXPECT_NE(error_of("[[[1]]]", 2), "");
}

TEST(Json, OfEqualKeysTheLastWins) {
  EXPECT_EQ(parse(R"({"a":1,"b":2,"a":3})").dump(), R"({"a":3,"b":2})");
  EXPECT_EQ(parse(R"({"a":{"x":1},"a":{"y":2}})").dump(), R"({"a":{"y":2}})");
  EXPECT_EQ(parse(R"({"a":[1],"a":[2]})").dump(), R"({"a":[2]})");
}

TEST(Json, EqualKeysAreAnErrorWhereTheyAreAMistake) {
  const auto where = [](const std::string& text) {
    try {
      Json::parse_unique(text, "body");
    } catch (const Error& error) {
      return std::string(error.where());
    }
    return std::string("none");
  };
  EXPECT_EQ(where(R"({"a":1,"b":2,"a":1})"), "a");
  EXPECT_EQ(where(R"({"a":null,"a":null})"), "a");
  EXPECT_EQ(where(R"({"a":[0,{"b":{"c":1,"c":[]}}]})"), "a[1].b.c");
  EXPECT_EQ(where(R"([[1,2],{"a":{},"\u0061":{}}])"), "[1].a") << "the same key, written otherwise";
  EXPECT_EQ(where(R"({"":1,"":1})"), "");
  EXPECT_EQ(where(R"({"a":{"x":1},"b":{"x":1},"x":[{"x":1},{"x":1}],"A":1})"), "none");
  std::string many = "{";
  for (int i = 0; i < 40; ++i)
    many += "\"k" + std::to_string(i) + "\":0,";  // above the index limit
  EXPECT_EQ(where(many + R"("k":0})"), "none");
  EXPECT_EQ(where(many + R"("k39":0})"), "k39");
  EXPECT_EQ(where("{"), "body");
  EXPECT_LT(
      where("{\"" + std::string(5000, 'a') + "\":1,\"" + std::string(5000, 'a') + "\":1}").size(),
      100U);
}

TEST(JsonObject, FindsAmongFewAndMany) {
  JsonObject object;
  for (int i = 0; i < 1000; ++i) object["k" + std::to_string(i)] = Json(i);
  EXPECT_EQ(object.size(), 1000U);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_NE(object.find("k" + std::to_string(i)), nullptr);
    ASSERT_EQ(object.find("k" + std::to_string(i))->as_int("t"), i);
  }
  EXPECT_EQ(object.find("k1000"), nullptr);
  object.erase("k0");
  object.erase("absent");
  EXPECT_EQ(object.find("k0"), nullptr);
  EXPECT_EQ(object.find("k999")->as_int("t"), 999);
  const JsonObject copy = object;
  while (object.size() > 3) object.erase(object.begin()->first);
  EXPECT_EQ(object.find("k999")->as_int("t"), 999);
  EXPECT_EQ(object.find("k1"), nullptr);
  EXPECT_EQ(copy.size(), 999U);
  const JsonObject& itself = object;
  object = itself;
  EXPECT_EQ(object.size(), 3U);
  JsonObject moved = std::move(object);
  EXPECT_EQ(moved.size(), 3U);
  moved["new"] = Json("x");
  EXPECT_EQ(moved.find("new")->as_string("t"), "x");
}

// Lookup changes above 16 members: before, at and after it each of them must be found.
/// `find` cannot fail, so it must not take memory.
TEST(JsonObject, FindingTakesNoMemory) {
  for (const int n : {10, 40}) {
    JsonObject object;
    const auto name = [](int i) {
      return "a name that does not fit into the text itself " + std::to_string(i);
    };
    for (int i = 0; i < n; ++i) object[name(i)] = Json(std::int64_t{i});
    const std::string known = name(n - 1);
    const std::string unknown = name(n);
    const FailingNew failing(0);
    EXPECT_NE(object.find(known), nullptr);
    EXPECT_EQ(object.find(unknown), nullptr);
    EXPECT_FALSE(failing.has_failed());
  }
}

TEST(JsonObject, FindsAroundTheIndexLimit) {
  for (int n = 14; n <= 19; ++n) {
    JsonObject object;
    for (int i = 0; i < n; ++i) object["k" + std::to_string(i)] = Json(i);
    for (int i = 0; i < n; ++i)
      ASSERT_NE(object.find("k" + std::to_string(i)), nullptr) << n << " " << i;
    object["k0"] = Json("again");
    EXPECT_EQ(object.size(), static_cast<std::size_t>(n));
  }
}

TEST(Cat, NumbersAreShort) {
  EXPECT_EQ(cat("a", 'b', true, -1, std::size_t{7}, 0.1F, " ", 0.1, " ", 1e30F),
            "abtrue-170.1 0.1 1e+30");
}

TEST(Json, WrongTypesAreNamed) {
  const Json value = parse(R"({"a":"x"})");
  try {
    (void)value.find("a")->as_int("options: a");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "options: a: wrong type (expected integer, got string)");
  }
  EXPECT_EQ(parse("2.0").as_int("t"), 2);
  EXPECT_THROW((void)parse("2.5").as_int("t"), Error);
  EXPECT_THROW((void)parse("1e300").as_int("t"), Error);
  EXPECT_THROW((void)parse("1").as_bool("t"), Error);
  EXPECT_THROW((void)parse("null").as_object("t"), Error);
  EXPECT_EQ(parse("[1]").find("a"), nullptr);
}

TEST(Json, ComparesByValue) {
  EXPECT_EQ(parse(R"({"a":1,"b":[1,2]})"), parse(R"({"b":[1,2.0],"a":1.0})"));
  EXPECT_FALSE(parse("[1]") == parse("[2]"));
  EXPECT_FALSE(parse("{}") == parse("[]"));
  EXPECT_FALSE(parse("null") == parse("false"));
  EXPECT_FALSE(parse(R"({"a":1})") == parse(R"({"b":1})"));
}

TEST(Json, Builds) {
  Json value;
  value["list"].push_back(Json(1));
  value["list"].push_back(Json("x"));
  value["n"] = Json(0.5);
  EXPECT_EQ(value.dump(), R"({"list":[1,"x"],"n":0.5})");
  EXPECT_THROW(value["n"].push_back(Json(1)), Error);
  EXPECT_THROW(value["n"]["x"] = Json(1), Error);
}

TEST(JsonOfPython, NumbersThatJsonHasNot) {
  const Json json = Json::parse_python(
      R"({"a": [NaN, Infinity, -Infinity, 1], "NaN": "Infinity \" NaN", "b": -Infinity})", "f");
  const JsonArray& a = json.find("a")->as_array("a");
  EXPECT_TRUE(std::isnan(a[0].as_double("a")));
  EXPECT_EQ(a[1].as_double("a"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(a[2].as_double("a"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(a[3].as_int("a"), 1);
  EXPECT_EQ(json.find("NaN")->as_string("NaN"), "Infinity \" NaN");
  EXPECT_EQ(json.find("b")->as_double("b"), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(Json::parse_python("NaN", "f").as_double("f")));
  EXPECT_EQ(Json::parse_python(R"({"x": [1, "y"]})", "f").dump(), R"({"x":[1,"y"]})");
}

TEST(JsonOfPython, NothingElseIsTaken) {
  for (const char* text : {"{NaN: 1}", "nan", "NaN1", "1NaN", "-NaN", "+Infinity", "Infinit",
                           "[Infinity", "\"NaN", "[NaN NaN]", "[--Infinity]", "\"\\"}) {
    EXPECT_THROW(Json::parse_python(text, "f"), Error) << text;
  }
  for (const char* text : {"NaN", "Infinity", "-Infinity", "[NaN]"})
    EXPECT_THROW(Json::parse(text, "f"), Error) << text;
  try {
    Json::parse_python("[Infinity, x]", "f");
    FAIL();
  } catch (const Error& error) {  // places are those of the text
    EXPECT_EQ(std::string(error.what()).rfind("f: invalid JSON at byte 12", 0), 0U) << error.what();
  }
}

}  // namespace
}  // namespace openllm::base
