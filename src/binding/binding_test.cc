#include "openllm/binding.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"

namespace {

struct Question {
  std::string question;
  int n_words = 50;
  std::optional<float> temperature;
};
OPENLLM_FIELDS(Question, question, maybe(n_words), temperature)

struct Tree {
  std::string name;
  std::vector<Tree> children;
};
OPENLLM_FIELDS(Tree, name, maybe(children))

struct Everything {
  bool flag = false;
  std::uint8_t small = 0;
  std::int64_t large = 0;
  std::uint64_t larger = 0;
  float single = 0;
  double number = 0;
  std::map<std::string, std::vector<Question>> by_name;
  openllm::JsonText any;
};
OPENLLM_FIELDS(Everything, flag, small, large, larger, single, number, by_name, any)

namespace other {
struct Question {
  int x = 0;
};
OPENLLM_FIELDS(Question, x)
}  // namespace other

struct Pair {
  Question first;
  other::Question second;
  Question third;
};
OPENLLM_FIELDS(Pair, first, second, third)

enum class Colour { kRed, kGreen = 7, kBlue };
OPENLLM_ENUM(Colour, kRed, as(kGreen, "green"), kBlue)

struct Paint {
  Colour colour = Colour::kRed;
  std::vector<Colour> others;
};
OPENLLM_FIELDS(Paint, maybe(colour), maybe(others))

struct Wide {
  int a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20,
      a21;
  int b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, b16, b17, b18, b19, b20,
      b21;
  int c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20,
      c21;
  int last;
};
OPENLLM_FIELDS(Wide, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17,
               a18, a19, a20, a21, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15,
               b16, b17, b18, b19, b20, b21, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13,
               c14, c15, c16, c17, c18, c19, c20, c21, maybe(last))

struct Failure {
  std::string message;
  std::string where;
  openllm::ErrorReason reason;
  bool operator==(const Failure&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Failure& failure) {
  return out << failure.where << " | " << failure.message << " | " << to_string(failure.reason);
}

template <typename T>
Failure failure_of(const char* json) {
  try {
    openllm::from_json<T>(json);
  } catch (const openllm::Error& error) {
    EXPECT_EQ(error.code(), openllm::ErrorCode::kInvalidArgument);
    return {error.what(), std::string(error.where()), error.reason()};
  }
  return {"no error", "", openllm::ErrorReason::kNone};
}

TEST(Binding, MembersInMaybeAndOptionalOnesMayBeMissing) {
  const auto question = openllm::from_json<Question>(R"({"question":"Why?"})");
  EXPECT_EQ(question.question, "Why?");
  EXPECT_EQ(question.n_words, 50);
  EXPECT_EQ(question.temperature, std::nullopt);
  const auto full = openllm::from_json<Question>(R"({"question":"","n_words":3,"temperature":2})");
  EXPECT_EQ(full.n_words, 3);
  EXPECT_EQ(full.temperature, 2.0F);
  EXPECT_EQ(openllm::from_json<Question>(R"({"question":"","temperature":null})").temperature,
            std::nullopt);
}

TEST(Binding, ErrorsNameThePathOfWhatIsWrong) {
  using openllm::ErrorReason;
  EXPECT_EQ(failure_of<Question>("{}"),
            (Failure{"question: missing", "question", ErrorReason::kMissingField}));
  EXPECT_EQ(failure_of<Question>(R"({"question":"","n_word":1})"),
            (Failure{"n_word: unknown field (did you mean n_words?)", "n_word",
                     ErrorReason::kUnknownField}));
  EXPECT_EQ(failure_of<Question>(R"({"question":5})").message,
            "question: wrong type (expected string, got integer)");
  EXPECT_EQ(failure_of<Question>("[]").message, "json: wrong type (expected object, got array)");
  EXPECT_EQ(failure_of<Question>(R"({"question":"","n_words":null})").message,
            "n_words: wrong type (expected integer, got null)");
  EXPECT_EQ(failure_of<Tree>(R"({"name":"a","children":[{"name":"b"},{"name":1}]})").where,
            "children[1].name");
  EXPECT_EQ(failure_of<Tree>(R"({"name":"a","children":[{}]})").message,
            "children[0].name: missing");
  EXPECT_NE(failure_of<Question>("{").message.find("invalid JSON"), std::string::npos);
}

TEST(Binding, WholeNumbersKeepToTheirType) {
  const auto small = [](const char* number) {
    return failure_of<Everything>((std::string(R"({"flag":true,"small":)") + number +
                                   R"(,"large":1,"larger":1,"single":1,"number":1,"by_name":{},)" +
                                   R"("any":1})")
                                      .c_str())
        .message;
  };
  EXPECT_EQ(small("255"), "no error");
  EXPECT_EQ(small("256"), "small: out of range (expected 0 to 255, got 256)");
  EXPECT_EQ(small("-1"), "small: out of range (expected 0 to 255, got -1)");
  EXPECT_EQ(small("1.5"), "small: wrong type (expected integer, got number)");
}

TEST(Binding, NumbersKeepToTheirTypeToo) {
  EXPECT_EQ(failure_of<Question>(R"({"question":"","temperature":1e39})").where, "temperature");
  EXPECT_EQ(failure_of<Question>(R"({"question":"","temperature":-1e39})").where, "temperature");
  EXPECT_EQ(openllm::from_json<std::vector<double>>("[1e39]")[0], 1e39);
}

TEST(Binding, NoMemberComesTwice) {
  EXPECT_EQ(failure_of<Question>(R"({"question":"a","question":"b"})").where, "question");
  EXPECT_EQ(failure_of<Tree>(R"({"name":"a","children":[{"name":"b","name":"c"}]})").where,
            "children[0].name");
}

TEST(Binding, WhatIsWrittenReadsBack) {
  Everything value;
  value.flag = true;
  value.small = 255;
  value.large = std::numeric_limits<std::int64_t>::min();
  value.larger = 7;
  value.single = 0.1F;
  value.number = 0.1;
  value.by_name["a \"b\""] = {{"x", 1, 0.5F}, {"y", 2, std::nullopt}};
  value.by_name["none"] = {};
  value.any.text = R"({"z": [1, null]})";
  const std::string text = openllm::to_json(value);
  EXPECT_EQ(text,
            R"({"flag":true,"small":255,"large":-9223372036854775808,"larger":7,"single":0.1,)"
            R"("number":0.1,"by_name":{"a \"b\"":[{"question":"x","n_words":1,)"
            R"("temperature":0.5},{"question":"y","n_words":2,"temperature":null}],)"
            R"("none":[]},"any":{"z":[1,null]}})");
  EXPECT_EQ(openllm::to_json(openllm::from_json<Everything>(text)), text);
}

TEST(Binding, NumbersThatJsonDoesNotHaveBecomeNull) {
  Everything value;
  value.number = std::numeric_limits<double>::infinity();
  value.single = std::numeric_limits<float>::quiet_NaN();
  value.any.text = "{";
  EXPECT_THROW(openllm::to_json(value), openllm::Error);
  value.any.text = "1";
  const auto json = openllm::base::Json::parse(openllm::to_json(value), "test");
  EXPECT_TRUE(json.find("number")->is_null());
  EXPECT_TRUE(json.find("single")->is_null());
}

TEST(Binding, SchemaSaysWhatIsNeeded) {
  EXPECT_EQ(openllm::json_schema<Question>(),
            R"({"$ref":"#/$defs/Question","$defs":{"Question":{"type":"object","properties":{)"
            R"("question":{"type":"string"},"n_words":{"type":"integer","default":50},)"
            R"("temperature":{"anyOf":[{"type":"number"},{"type":"null"}]}},)"
            R"("required":["question"],"additionalProperties":false}}})");
  EXPECT_EQ(openllm::json_schema<std::vector<bool>>(),
            R"({"type":"array","items":{"type":"boolean"}})");
  EXPECT_EQ(openllm::json_schema<openllm::JsonText>(), "{}");
}

TEST(Binding, SchemaOfTypesThatHoldThemselvesOrShareAName) {
  const auto tree = openllm::base::Json::parse(openllm::json_schema<Tree>(), "test");
  EXPECT_EQ(*tree.find("$defs")
                 ->find("Tree")
                 ->find("properties")
                 ->find("children")
                 ->find("items")
                 ->find("$ref")
                 ->if_string(),
            "#/$defs/Tree");
  const auto pair = openllm::base::Json::parse(openllm::json_schema<Pair>(), "test");
  const auto* members = pair.find("$defs")->find("Pair")->find("properties");
  EXPECT_EQ(*members->find("first")->find("$ref")->if_string(), "#/$defs/Question");
  EXPECT_EQ(*members->find("second")->find("$ref")->if_string(), "#/$defs/Question2");
  EXPECT_EQ(*members->find("third")->find("$ref")->if_string(), "#/$defs/Question");
  EXPECT_NE(pair.find("$defs")->find("Question2")->find("properties")->find("x"), nullptr);
}

TEST(Binding, SixtyFourMembers) {
  Wide value{};
  value.c21 = 63;
  value.last = 64;
  EXPECT_EQ(openllm::from_json<Wide>(openllm::to_json(value)).last, 64);
  EXPECT_EQ(openllm::from_json<Wide>(openllm::to_json(value)).c21, 63);
}

TEST(Binding, EnumerationsAreTexts) {
  const auto paint = openllm::from_json<Paint>(R"({"colour":"green","others":["kRed","kBlue"]})");
  EXPECT_EQ(paint.colour, Colour::kGreen);
  EXPECT_EQ(paint.others, (std::vector{Colour::kRed, Colour::kBlue}));
  EXPECT_EQ(openllm::to_json(paint), R"({"colour":"green","others":["kRed","kBlue"]})");
  const auto schema = openllm::base::Json::parse(openllm::json_schema<Colour>(), "schema");
  EXPECT_EQ(schema.find("enum")->dump(), R"(["kRed","green","kBlue"])");
  EXPECT_THROW((void)openllm::to_json(static_cast<Colour>(3)), openllm::Error);
}

TEST(Binding, AValueThatAnEnumerationDoesNotHaveIsNamed) {
  try {
    (void)openllm::from_json<Paint>(R"({"others":["kRed","kGreen"]})");
    FAIL();
  } catch (const openllm::Error& error) {
    EXPECT_STREQ(error.what(),
                 "others[1]: unknown value (expected kRed, green, kBlue, got \"kGreen\")");
  }
}

}  // namespace
