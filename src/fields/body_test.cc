#include "fields/body.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fields/access.h"

namespace openllm::fields {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Way kRoutes[] = {kCompletions, kChat};

/// What a body with one member gives.
struct Result {
  std::string error{"none"};  ///< Of ErrorCode.
  ErrorReason reason = ErrorReason::kNone;
  std::string where{};
  std::string message{};
  UnknownNames unknown{};
  GenerateOptions options{};
};

Result read(const base::Json& body, Way way) {
  Result result;
  try {
    result.unknown = read_body(body, way, result.options);
  } catch (const Error& error) {
    result.error = to_string(error.code());
    result.reason = error.reason();
    result.where = error.where();
    result.message = error.what();
  }
  return result;
}

Result read(std::string_view name, base::Json value, Way way) {
  base::Json body = base::Json::object();
  body[name] = std::move(value);
  return read(body, way);
}

base::Json json(std::string_view text) { return base::Json::parse(text, "test"); }

bool is_member_here(std::string_view name, Way way) {
  const BodyMember* member = find_member(name);
  return member != nullptr && (member->ways & way) != 0;
}

/// Read by the table, not by the route's own code.
bool is_read(const Field& field, std::string_view name, Way way) {
  return (field.ways & way) != 0 && (field.by_hand & way) == 0 && !is_member_here(name, way);
}

/// Values of wrong types and sizes for a field.
std::vector<base::Json> wrong_values(const Field& field) {
  switch (field.type) {
    case Type::kBoolean:
      return {1, "true", json("[true]"), json("{}")};
    case Type::kEarlyStopping:
      return {1, "always", json("[true]"), json("{}")};
    case Type::kInteger:
    case Type::kSeed:
      return {true, "5", 1.5, 1e300, -1e300, json("[5]"), json("{}")};
    case Type::kNumber:
    case Type::kSeconds:
      return {true, "0.5", json("[0.5]"), json("{}")};
    case Type::kText:
      return {1, true, json("[\"a\"]"), json("{}"), std::string(100'000, 'x')};
    case Type::kJson:
      return {};
    case Type::kTexts:
      return {1, true, json("{}"), json("[1]"), json("[\"\"]")};
    case Type::kTokenIds:
      return {1,
              "1",
              json("{}"),
              json("[-1]"),
              json("[1.5]"),
              json("[\"1\"]"),
              json("[2147483648]"),
              json("[1e300]")};
    case Type::kTokenIdOrIds:
      return {-1, 1.5, "1", json("{}"), json("[-1]"), json("[[1]]")};
    case Type::kTokenLists:
      return {1, "1", json("[1]"), json("{}"), json("[[]]"), json("[[-1]]"), json("[[1.5]]")};
    case Type::kListNumbers:
      return {1,
              json("{\"1\": 2}"),
              json("[[1]]"),
              json("[[[1]]]"),
              json("[[[], 1]]"),
              json("[[[1], \"x\"]]"),
              json("[[[1], 1e300]]")};
    case Type::kLengthDecay:
      return {1, "1", json("[1]"), json("[-1, 2]"), json("[1, -2]"), json("[1, 2, 3]"), json("{}")};
    case Type::kTokenNumbers:
      return {1,
              "1",
              json("[1]"),
              json("[[1]]"),
              json("[[-1, 1]]"),
              json("{\"x\": 1}"),
              json("{\"1\": \"x\"}"),
              json("{\"-1\": 1}"),
              json("{\"1\": 1e300}")};
  }
  return {};
}

TEST(Bodies, EachNameOfAFieldRefusesWhatIsWrongByThatName) {
  for (const Way way : kRoutes) {
    for (const Field& field : all()) {
      for (const std::string_view name : names_of(field)) {
        EXPECT_EQ(read(name, base::Json(), way).error, "none") << name << " null is absent";
        if (!is_read(field, name, way)) continue;
        for (const base::Json& value : wrong_values(field)) {
          const Result result = read(name, value, way);
          EXPECT_EQ(result.error, "invalid_argument") << name << " " << value.dump().substr(0, 80);
          EXPECT_TRUE(result.where.starts_with(name)) << result.where;
          EXPECT_TRUE(result.message.starts_with(name)) << result.message;
          EXPECT_LT(result.message.size(), 300U) << name;
        }
      }
    }
  }
}

TEST(Bodies, EachNameOfAFieldHasItsRange) {
  for (const Field& field : all()) {
    if (field.type != Type::kInteger && field.type != Type::kNumber) continue;
    const Range range = field.openai_range.value_or(field.range);
    const bool is_whole = field.type == Type::kInteger;
    for (const std::string_view name : names_of(field)) {
      if (!is_read(field, name, kCompletions)) continue;
      for (const double bound : {range.min, range.max}) {
        if (!std::isfinite(bound)) continue;
        const double beyond = bound == range.min ? bound - 1 : bound + 1;
        const auto value = [is_whole](double number) {
          return is_whole ? base::Json(static_cast<std::int64_t>(number)) : base::Json(number);
        };
        EXPECT_EQ(read(name, value(beyond), kCompletions).where, name) << beyond;
        if (bound == range.min ? range.is_above_min : range.is_below_max) continue;
        EXPECT_EQ(read(name, value(bound), kCompletions).error, "none") << name << " " << bound;
        // One rule for integers: a fraction of zero is none.
        if (is_whole) {
          EXPECT_EQ(read(name, bound, kCompletions).error, "none") << name;
        }
      }
    }
  }
}

TEST(Bodies, FieldsThatARouteDoesNotTakeAreRefusedByName) {
  for (const Way way : kRoutes) {
    for (const Field& field : all()) {
      if (((field.ways | field.by_hand) & way) != 0) continue;
      for (const std::string_view name : names_of(field)) {
        if (is_member_here(name, way)) continue;
        for (const base::Json& value : {json("7"), json("\"x\""), json("[7]"), json("{\"a\":7}")}) {
          const Result result = read(name, value, way);
          EXPECT_EQ(result.reason, ErrorReason::kUnsupportedField) << name << value.dump();
          EXPECT_EQ(result.where, name);
        }
      }
    }
  }
}

TEST(Bodies, AbsentFieldsAreRefusedByNameUnlessNeutral) {
  for (const Way way : {kCompletions, kChat, kNative}) {
    for (const AbsentField& field : absent()) {
      if (field.name.find('.') != std::string_view::npos) continue;  // of objects within
      EXPECT_EQ(read(field.name, base::Json(), way).error, "none") << field.name;
      for (const std::string_view neutral : {field.neutral, field.also_neutral}) {
        if (neutral.empty()) continue;
        const Result result = read(field.name, json(neutral), way);
        EXPECT_EQ(result.error, "none") << field.name << neutral;
        EXPECT_THAT(result.unknown, IsEmpty());
      }
      for (const char* value : {"12345", "\"zzz\"", "[7]", "{\"a\":7}", "1e300", "[[]]"}) {
        const Result result = read(field.name, json(value), way);
        EXPECT_EQ(result.reason, ErrorReason::kUnsupportedField) << field.name << value;
        EXPECT_EQ(result.error, "unsupported") << field.name;
        EXPECT_EQ(result.where, field.name);
        EXPECT_THAT(result.message, HasSubstr(std::string(field.advice)));
      }
    }
  }
}

TEST(Bodies, NothingThatAsksForSomethingIsNeutral) {
  for (const char* body :
       {R"({"web_search_options":{}})", R"({"guided_json":{}})", R"({"json_schema":{}})",
        R"({"thinking_token_budget":0})", R"({"thinking":false})", R"({"structured_outputs":{}})",
        R"({"prediction":{}})", R"({"options":{}})", R"({"top_n_sigma":1})",
        R"({"eos_token_id":[]})", R"({"chat_template":""})", R"({"reasoning":{}})",
        R"({"parallel_tool_calls":false})", R"({"audio":{}})", R"({"store":true})",
        R"({"verbosity":"low"})", R"({"repeat_last_n":64})", R"({"do_sample":false})",
        R"({"service_tier":"flex"})"}) {
    for (const Way way : kRoutes)
      EXPECT_EQ(read(json(body), way).reason, ErrorReason::kUnsupportedField) << body;
  }
}

TEST(Bodies, MembersOfOneRouteAreRefusedOnOthers) {
  for (const Way way : kRoutes) {
    for (const BodyMember& member : body_members()) {
      if (member.name.find('.') != std::string_view::npos) continue;
      EXPECT_EQ(read(member.name, base::Json(), way).error, "none") << member.name;
      const bool is_here = (member.ways & way) != 0 || find(member.name) != nullptr;
      const Result result = read(member.name, 12345, way);
      EXPECT_EQ(result.reason == ErrorReason::kUnsupportedField, !is_here) << member.name;
      EXPECT_THAT(result.unknown, IsEmpty()) << member.name;
    }
  }
  EXPECT_EQ(read(json(R"({"messages":[]})"), kCompletions).message,
            "messages: unsupported (only /v1/chat/completions and /v1/generate has it)");
  EXPECT_EQ(read(json(R"({"echo":false})"), kChat).error, "none");
  EXPECT_EQ(read(json(R"({"echo":true})"), kChat).where, "echo");
}

TEST(Bodies, HarmlessMembersMayBeAnything) {
  for (const Way way : kRoutes) {
    for (const HarmlessMember& member : harmless()) {
      if (member.name.find('.') != std::string_view::npos) continue;
      for (const char* value : {"null", "0", "\"x\"", "{\"a\":1}", "[1]", "true"}) {
        const Result result = read(member.name, json(value), way);
        EXPECT_EQ(result.error, "none") << member.name;
        EXPECT_THAT(result.unknown, IsEmpty()) << member.name;
      }
    }
  }
}

TEST(Bodies, UnknownNamesAreReturned) {
  EXPECT_THAT(
      read(json(R"({"tomorrows_field":7,"x":1,"nothing":null,"foo bar":[]})"), kChat).unknown,
      ElementsAre("tomorrows_field", "x", "foo bar"));
  const UnknownNames names = read(std::string(100'000, 'y'), 1, kCompletions).unknown;
  ASSERT_EQ(names.size(), 1U);
  EXPECT_EQ(names[0], std::string(60, 'y'));
}

TEST(Bodies, ManyUnknownNamesAreNoRequest) {
  base::Json body = base::Json::object();
  for (int i = 0; i < 100; ++i) body[base::cat("zz", i, "qq")] = 1;
  EXPECT_EQ(read(body, kChat).unknown.size(), 100U);
  body["zz100qq"] = 1;
  EXPECT_THAT(read(body, kChat).message, HasSubstr("too many unknown names"));
}

TEST(Bodies, MisspeltNamesAreRefusedWithTheNearest) {
  for (const auto& [name, meant] :
       {std::pair{"temprature", "temperature"}, std::pair{"top_P", "top_p"},
        std::pair{"maxTokens", "max_tokens"}, std::pair{"topk", "top_k"},
        std::pair{"seeed", "seed"}, std::pair{"max-tokens", "max_tokens"},
        std::pair{"repetition_penality", "repetition_penalty"},
        std::pair{"respons_format", "response_format"}, std::pair{"num_beam", "num_beams"},
        std::pair{"strem", "stream"}}) {
    const Result result = read(name, 1, kCompletions);
    EXPECT_EQ(result.reason, ErrorReason::kUnknownField) << name;
    EXPECT_EQ(result.where, name);
    EXPECT_THAT(result.message, HasSubstr(base::cat("did you mean ", meant, "?")));
  }
  EXPECT_EQ(read("temprature", base::Json(), kCompletions).error, "none") << "null is absent";
  // Near to something harmless.
  EXPECT_THAT(read("safety_identifierr", 1, kChat).unknown, ElementsAre("safety_identifierr"));
}

TEST(Bodies, OneLetterLessIsNeverIgnored) {
  std::set<std::string> names;
  for (const Field& field : all()) {
    for (const std::string_view name : names_of(field)) {
      if ((field.ways & kCompletions) != 0) names.emplace(name);
    }
  }
  for (const std::string& name : names) {
    if (name.size() < 4) continue;
    std::string wrong = name;
    wrong.erase(name.size() / 2, 1);
    const Result result = read(wrong, "x", kCompletions);
    EXPECT_TRUE(result.unknown.empty()) << wrong;
    EXPECT_NE(result.error, "none") << wrong;
  }
}

TEST(Bodies, ObjectsWithinHaveNamesOfTheirOwn) {
  const auto check = [](std::string_view scope, const char* object) {
    UnknownNames unknown;
    check_names(json(object), kChat, scope, scope, unknown);
    return unknown;
  };
  EXPECT_THAT(check("stream_options", R"({"include_usage":true,"include_obfuscation":false})"),
              IsEmpty());
  EXPECT_THAT(check("stream_options", R"({"temperature":1})"),
              ElementsAre("stream_options.temperature"));
  EXPECT_THROW(check("stream_options", R"({"continuous_usage_stats":true})"), Error);
  EXPECT_THROW(check("stream_options", R"({"include_usge":true})"), Error);
  EXPECT_THAT(check("content", R"({"type":"text","text":"a","cache_control":{"type":"x"}})"),
              IsEmpty());
}

TEST(Bodies, SynonymsAreTheFieldItself) {
  EXPECT_EQ(read(json(R"({"n_predict":5})"), kCompletions).options.max_new_tokens, 5);
  EXPECT_EQ(read(json(R"({"num_predict":-1})"), kChat).options.max_new_tokens, -1);
  EXPECT_EQ(read(json(R"({"max_output_tokens":6})"), kChat).options.max_new_tokens, 6);
  EXPECT_EQ(read(json(R"({"max_completion_tokens":7})"), kCompletions).options.max_new_tokens, 7);
  EXPECT_EQ(read(json(R"({"sampling_seed":7})"), kChat).options.seed, 7U);
  EXPECT_EQ(read(json(R"({"random_seed":8})"), kChat).options.seed, 8U);
  EXPECT_THAT(read(json(R"({"stop_sequences":["a"]})"), kChat).options.stop, ElementsAre("a"));
  EXPECT_EQ(read(json(R"({"n_cmpl":2})"), kChat).options.n, 2);
  EXPECT_EQ(read(json(R"({"rid":"a"})"), kChat).options.request_id, "a");
  EXPECT_THAT(read(json(R"({"stop":["a"],"stop_sequences":["b"]})"), kChat).message,
              HasSubstr("given twice"));
}

TEST(Bodies, SeedsAreExactOrRefused) {
  const auto seed = [](const char* text) {
    return read(json(base::cat(R"({"seed":)", text, "}")), kCompletions);
  };
  EXPECT_EQ(seed("0").options.seed, 0U);
  EXPECT_EQ(seed("9223372036854775807").options.seed, 9223372036854775807U);
  EXPECT_EQ(seed("-9223372036854775808").options.seed, std::uint64_t{1} << 63U);
  EXPECT_EQ(seed("-2").options.seed, static_cast<std::uint64_t>(-2));
  EXPECT_EQ(seed("9007199254740992.0").options.seed, 9007199254740992U);
  EXPECT_EQ(seed("4294967295").options.seed, 4294967295U);
  const Result random = seed("-1");
  EXPECT_EQ(random.error, "none");
  EXPECT_EQ(random.options.seed, kRandomSeed) << "random, as in other engines";
  for (const char* text :
       {"-9223372036854775809", "9223372036854775808", "18446744073709551615", "1e18",
        "9007199254740994.0", "-9223372036854775808.0", "1e300", "-1e300", "0.5", "true", "\"1\""})
    EXPECT_EQ(seed(text).where, "seed") << text;
}

TEST(Bodies, BiasesAreAnObjectOrPairs) {
  const auto bias = [](const char* text) {
    return read(json(base::cat(R"({"logit_bias":)", text, "}")), kCompletions);
  };
  EXPECT_THAT(*bias(R"([[5,-100],[7,1.5]])").options.logit_bias.find(7), testing::Pair(7, 1.5F));
  EXPECT_EQ(bias(R"([[5,-100],[7,1.5]])").options.logit_bias.at(5), -100.0F);
  EXPECT_EQ(bias("{}").error, "none");
  EXPECT_EQ(bias("[]").error, "none");
  EXPECT_EQ(bias("[[5,1],[5,2]]").where, "logit_bias[1][1]");
  EXPECT_EQ(bias(R"({"5":1,"05":2})").where, "logit_bias.05");
  EXPECT_EQ(bias("[[5,101]]").where, "logit_bias[0][1]");
  EXPECT_EQ(bias("[[5]]").where, "logit_bias[0]");
  EXPECT_EQ(bias("[[\"hello\",1]]").where, "logit_bias[0][0]");
  EXPECT_EQ(bias(R"({"hello":1})").where, "logit_bias.hello") << "nobody asks for texts";
  EXPECT_EQ(bias(R"({"5":false})").options.logit_bias.at(5), std::numeric_limits<float>::lowest());
  EXPECT_EQ(bias(R"({"5":true})").where, "logit_bias.5");
}

TEST(Body, BiasesOfTextsWaitForATokenizer) {
  const auto read_texts = [](const std::string& text, TextNumbers& texts) {
    GenerateOptions options;
    read_body(json(base::cat(R"({"logit_bias":)", text, "}")), kCompletions, options, &texts);
    return options.logit_bias.size();
  };
  TextNumbers texts;
  const auto is = [](const char* text, float number, const char* place) {
    return testing::AllOf(testing::Field(&TextNumber::text, text),
                          testing::Field(&TextNumber::number, number),
                          testing::Field(&TextNumber::place, place));
  };
  EXPECT_EQ(read_texts(R"({"Hello":-5,"12":1," 7a":false,"b":null})", texts), 1U);
  EXPECT_THAT(texts, testing::ElementsAre(
                         is("Hello", -5.0F, "logit_bias.Hello"),
                         is(" 7a", std::numeric_limits<float>::lowest(), "logit_bias. 7a")));
  texts.clear();
  EXPECT_EQ(read_texts(R"([["Hello",-5],[15043,1.5],["12",2]])", texts), 1U);
  EXPECT_THAT(texts, testing::ElementsAre(is("Hello", -5.0F, "logit_bias[0]"),
                                          is("12", 2.0F, "logit_bias[2]")));

  const auto where = [&](const std::string& text) {
    try {
      read_texts(text, texts = {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.where());
    }
    return std::string("none");
  };
  EXPECT_EQ(where(R"({"":1})"), "logit_bias.");
  EXPECT_EQ(where(R"([["",1]])"), "logit_bias[0]");
  EXPECT_EQ(where(R"([["a",1],["a",1]])"), "logit_bias[1]");
  EXPECT_EQ(where(R"({"Hello":101})"), "logit_bias.Hello");
  EXPECT_EQ(where(R"({"Hello":"1"})"), "logit_bias.Hello");
  EXPECT_EQ(where(R"({"Hello":true})"), "logit_bias.Hello");
  for (const char* numeral : {"-5", "+5", " 5", "99999999999"})
    EXPECT_EQ(where(base::cat(R"({")", numeral, R"(":1})")), base::cat("logit_bias.", numeral));
}

TEST(Bodies, SuggestionsAreNamesOfThatPlace) {
  // A name within another object is none here, and short words come near to everything.
  for (const char* name : {"stream_options.include_usag", "tfx", "rax"})
    EXPECT_THAT(read(name, 1, kChat).unknown, ElementsAre(name));
}

TEST(Bodies, NeutralNumbersMayHaveAPoint) {
  for (const char* body :
       {R"({"typical_p":1.0})", R"({"num_beams":1.0})", R"({"top_n_sigma":-1.0})"})
    EXPECT_EQ(read(json(body), kCompletions).error, "none") << body;
  EXPECT_EQ(read(json(R"({"typical_p":1.5})"), kCompletions).where, "typical_p");
}

TEST(Bodies, BiasesWithoutANumberAreNone) {
  const auto biases = [](const char* value) {
    return read("logit_bias", json(value), kCompletions);
  };
  EXPECT_THAT(biases(R"({"5":null,"6":1})").options.logit_bias, ElementsAre(std::pair(6, 1.0F)));
  for (const char* bad : {R"({"5x":1})", R"({"":1})", R"({"-5":1})", "[[1,2,3]]", "[[1]]", "[[]]"})
    EXPECT_EQ(biases(bad).error, "invalid_argument") << bad;
}

TEST(Bodies, LongValuesAreCutInMessages) {
  const std::string long_name = R"({")" + std::string(200, '5') + R"(":1})";
  const Result result = read("logit_bias", json(long_name), kCompletions);
  EXPECT_THAT(result.message, HasSubstr("got " + std::string(60, '5') + "...)"));
  const Result whole = read("logit_bias", json(R"({")" + std::string(60, '5') + R"(":1})"), kChat);
  EXPECT_THAT(whole.message, HasSubstr("got " + std::string(60, '5') + ")"));
}

TEST(Bodies, TextsAndListsMayBeAsLongAsTheirRange) {
  EXPECT_EQ(read("request_id", std::string(256, 'x'), kChat).error, "none");
  EXPECT_EQ(read("request_id", std::string(257, 'x'), kChat).where, "request_id");
  base::Json stops = base::Json::array();
  for (int i = 0; i < 16; ++i) stops.push_back("x");
  EXPECT_EQ(read("stop", stops, kChat).error, "none");
  stops.push_back("x");
  EXPECT_EQ(read("stop", stops, kChat).where, "stop");
}

TEST(Bodies, TimesAreAtLeastAMillisecondAndNoLongerThanCanBeCounted) {
  using std::chrono::milliseconds;
  EXPECT_EQ(read("timeout", 0.0001, kChat).options.timeout, milliseconds(1));
  EXPECT_EQ(read("timeout", 1.2346, kChat).options.timeout, milliseconds(1235));
  EXPECT_EQ(read("timeout", 1e300, kNative).options.timeout, milliseconds(1'000'000'000'000'000));
  EXPECT_EQ(read("timeout", 0, kChat).where, "timeout");
}

}  // namespace
}  // namespace openllm::fields
