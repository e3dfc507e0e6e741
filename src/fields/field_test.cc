#include "fields/field.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "fields/access.h"
#include "fields/body.h"

namespace openllm::fields {
namespace {

using testing::HasSubstr;

GenerateOptions read(const std::string& body, Way way = kCompletions) {
  GenerateOptions options;
  read_body(base::Json::parse(body, "body"), way, options);
  return options;
}

/// "where|reason|message" of the error that reading a body gives.
std::string refusal(const std::string& body, Way way = kCompletions) {
  try {
    read(body, way);
  } catch (const Error& error) {
    return std::string(error.where()) + "|" + to_string(error.reason()) + "|" + error.what();
  }
  return "no error";
}

TEST(Fields, EachNameMeansOneRow) {
  std::set<std::string_view> names;
  for (const Field& field : all()) {
    for (const std::string_view name : names_of(field)) {
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_EQ(find(name), &field) << name;
    }
    EXPECT_FALSE(field.help.empty()) << field.name;
    EXPECT_TRUE(has_request(field) || has_config(field)) << field.name;
    EXPECT_EQ(field.initial.has_value() || field.name == "eos_token_id", has_config(field))
        << field.name;
  }
  for (const AbsentField& field : absent()) {
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
    EXPECT_TRUE(is_neutral(field, base::Json())) << field.name;
    for (const std::string_view neutral : {field.neutral, field.also_neutral}) {
      EXPECT_TRUE(neutral.empty() || is_neutral(field, base::Json::parse(neutral, "neutral")))
          << field.name;
    }
  }
  for (const BodyMember& member : body_members()) {
    // A route may give an alias a meaning of its own, and then reads it there by hand.
    EXPECT_TRUE(names.insert(member.name).second || member.name == "max_completion_tokens")
        << member.name;
  }
  for (const HarmlessMember& member : harmless()) {
    EXPECT_TRUE(names.insert(member.name).second) << member.name;
    EXPECT_FALSE(member.why.empty()) << member.name;
  }
  EXPECT_GE(names.size(), 300U);
}

/// A value that is allowed everywhere and no default.
base::Json example_of(const Field& field) {
  switch (field.type) {
    case Type::kBoolean:
      return !get(field, GenerateOptions{}).as_bool(field.name);
    case Type::kInteger:
      return 7;
    case Type::kSeed:
      return std::int64_t{-7};
    case Type::kNumber:
    case Type::kSeconds:
      return 0.5;
    case Type::kText:
      return "x";
    case Type::kJson:
      return base::Json::parse(R"({"a":1})", "example");
    case Type::kTexts:
      return base::Json::parse(R"(["a","b"])", "example");
    case Type::kTokenIds:
      return base::Json::parse("[1,2]", "example");
    case Type::kTokenNumbers:
      return base::Json::parse(R"({"5":0.5})", "example");
  }
  return {};
}

TEST(Fields, EveryRowComesInAndGoesOut) {
  for (const Field& field : all()) {
    const base::Json example = example_of(field);
    GenerateOptions options;
    LLMConfig config;
    if (has_request(field)) {
      set(field, options, example, field.name, field.range);
      EXPECT_EQ(get(field, options), example) << field.name;
    }
    if (has_config(field)) {
      set(field, config, example, field.name);
      EXPECT_EQ(get(field, config), example) << field.name;
      LLMConfig merged = initial_config();
      merge(merged, config);
      EXPECT_EQ(get(field, merged), example) << field.name;
    }
    if ((field.ways & kClient) == 0 || !has_request(field)) continue;
    // What the client writes is what the server reads.
    for (const Way way : {kCompletions, kChat}) {
      base::Json body = base::Json::object();
      write_body(options, way, body);
      EXPECT_EQ(body.if_object()->size(), (field.ways & way) != 0 ? 1U : 0U) << field.name;
      if ((field.by_hand & way) != 0) continue;
      GenerateOptions arrived;
      read_body(body, way, arrived);
      EXPECT_EQ(get(field, arrived) == example, (field.ways & way) != 0) << field.name;
    }
  }
}

TEST(Fields, RequestsOverrideTheConfiguration) {
  LLMConfig config = initial_config();
  merge(config, GenerateOptions{.temperature = 0.25F, .n = 3});
  EXPECT_EQ(config.temperature, 0.25F);
  EXPECT_EQ(config.top_k, 50);
}

TEST(Fields, RangesAreCheckedWhateverTheWay) {
  EXPECT_THROW(check(GenerateOptions{.n = 0}), Error);
  EXPECT_THROW(check(GenerateOptions{.n = 129}), Error);
  EXPECT_THROW(check(GenerateOptions{.stop = std::vector<std::string>{""}}), Error);
  EXPECT_THROW(check(GenerateOptions{.timeout = std::chrono::milliseconds(0)}), Error);
  EXPECT_NO_THROW(check(GenerateOptions{.timeout = std::chrono::milliseconds::max()}));
  const auto refuses = [](LLMConfig config) {
    try {
      check(config, "layer");
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("layer: "));
      return true;
    }
    return false;
  };
  EXPECT_TRUE(refuses({.temperature = NAN}));
  EXPECT_TRUE(refuses({.temperature = INFINITY}));
  EXPECT_TRUE(refuses({.repetition_penalty = 0.0F}));
  EXPECT_TRUE(refuses({.max_new_tokens = -2}));
  EXPECT_FALSE(refuses({.temperature = 7.0F, .top_k = -1}));
  EXPECT_FALSE(refuses({}));
}

TEST(Fields, BodiesHaveOpenAIsRanges) {
  EXPECT_EQ(read(R"({"temperature":2})").temperature, 2.0F);
  EXPECT_EQ(refusal(R"({"temperature":2.5})"),
            "temperature|none|temperature: invalid value (expected 0 to 2, got 2.5)");
  EXPECT_EQ(read(R"({"temperature":2.5})", kNative).temperature, 2.5F);
  EXPECT_THAT(refusal(R"({"request_id":")" + std::string(300, 'x') + "\"}"),
              HasSubstr("at most 256 bytes"));
}

TEST(Fields, OtherNamesOfAFieldAreTakenButNotTwo) {
  EXPECT_EQ(read(R"({"max_new_tokens":5})").max_new_tokens, 5);
  EXPECT_EQ(read(R"({"max_tokens":5,"max_new_tokens":null})").max_new_tokens, 5);
  EXPECT_EQ(read(R"({"num_return_sequences":3})", kChat).n, 3);
  EXPECT_EQ(read(R"({"max_time":1.5})").timeout->count(), 1500);
  EXPECT_EQ(refusal(R"({"max_tokens":5,"max_new_tokens":5})"),
            "max_new_tokens|none|max_new_tokens: given twice (also as max_tokens)");
}

TEST(Fields, KnownFieldsAreNeverIgnored) {
  for (const char* body :
       {R"({"num_beams":4})", R"({"stream_interval":2})", R"({"use_cache":false})",
        R"({"typical_p":0.5})", R"({"eos_token_id":2})", R"({"prompt_logprobs":0})",
        R"({"adapter_name":"a"})", R"({"forced_eos_token_id":2})", R"({"early_stopping":true})"}) {
    EXPECT_THAT(refusal(body), HasSubstr("|unsupported_field|")) << body;
  }
  for (const char* body :
       {R"({"num_beams":1})", R"({"num_beams":1.0})", R"({"stream_interval":1})",
        R"({"use_cache":true})", R"({"typical_p":1})", R"({"eos_token_id":null})",
        R"({"adapter_name":""})", R"({"bad_words_ids":[]})", R"({"tomorrows_field":7})"}) {
    EXPECT_EQ(refusal(body), "no error") << body;
  }
  // Fields of one way only.
  EXPECT_THAT(refusal(R"({"tools":[{"type":"function"}]})"), HasSubstr("tools|unsupported_field"));
  EXPECT_THAT(refusal(R"({"add_generation_prompt":false})"), HasSubstr("unsupported_field"));
  EXPECT_EQ(refusal(R"({"add_generation_prompt":true})"), "no error");
  // A dialect reads these by hand, under OpenAI's name only.
  EXPECT_EQ(refusal(R"({"tools":[]})", kChat), "no error");
  EXPECT_THAT(refusal(R"({"tools_json":"[]"})", kChat), HasSubstr("give tools instead"));
}

TEST(Fields, ObjectsOfFieldsHaveNothingElse) {
  const auto read_config = [](const std::string& object) {
    GenerateOptions options;
    read_object(base::Json::parse(object, "body"), kNative, "llm_config", options);
    return options;
  };
  EXPECT_EQ(read_config(R"({"temperature":3,"max_tokens":5,"num_beams":1})").max_new_tokens, 5);
  for (const auto& [object, message] :
       {std::pair{R"({"temprature":1})",
                  "llm_config.temprature: there is no such field; did you mean temperature?"},
        std::pair{R"({"top_p":"x"})", "llm_config.top_p: wrong type (expected number, got string)"},
        std::pair{R"({"num_beams":2})",
                  "llm_config.num_beams: unsupported (this server does not have that feature)"},
        std::pair{"[]", "llm_config: wrong type (expected object, got array)"}}) {
    try {
      read_config(object);
      ADD_FAILURE() << object;
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), message);
    }
  }
}

TEST(Fields, ServersCannotBeAskedForEverything) {
  base::Json body = base::Json::object();
  EXPECT_THROW(write_body({.prompt_logprobs = 1}, kCompletions, body), Error);
  EXPECT_THROW(write_body({.adapter_name = std::string("a")}, kChat, body), Error);
  EXPECT_NO_THROW(write_body({.timeout = std::chrono::seconds(1)}, kChat, body));
  EXPECT_TRUE(body.if_object()->empty());
}

TEST(Fields, SuggestsTheNearestName) {
  EXPECT_EQ(did_you_mean("temprature"), "; did you mean temperature?");
  EXPECT_EQ(did_you_mean("num_beam"), "; did you mean num_beams?");
  EXPECT_EQ(did_you_mean("xyzzy"), "");
}

}  // namespace
}  // namespace openllm::fields
