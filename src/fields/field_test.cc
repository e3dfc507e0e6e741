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
    // Of the others none is the default.
    const std::set<std::string_view> none{"max_length", "min_length", "forced_bos_token_id",
                                          "best_of",    "logprobs",   "prompt_logprobs"};
    const bool has_default = field.type == Type::kNumber || field.type == Type::kBoolean ||
                             field.type == Type::kEarlyStopping ||
                             (field.type == Type::kInteger && none.count(field.name) == 0);
    EXPECT_EQ(field.initial.has_value(), has_config(field) && has_default) << field.name;
    EXPECT_EQ(has_config(field), field.sampling.index() != 0) << field.name;
    EXPECT_TRUE(has_config(field) || !(field.is_in_files || has_generation(field))) << field.name;
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

TEST(Fields, AKnownNameIsNotMeantByItself) {
  EXPECT_EQ(did_you_mean("temprature"), "; did you mean temperature?");
  EXPECT_EQ(did_you_mean("tools"), "");
  EXPECT_EQ(did_you_mean("num_beams"), "");
}

TEST(Fields, NumbersInErrorsAreWrittenAsTheyWereGiven) {
  GenerateOptions options;
  options.n = 1000000;
  try {
    check(options);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("got 1000000)"));
  }
}

/// A value that is allowed everywhere and no default.
base::Json example_of(const Field& field) {
  switch (field.type) {
    case Type::kBoolean:
      return !(has_config(field) ? get(field, initial_config()) : get(field, GenerateOptions{}))
                  .as_bool(field.name);
    case Type::kEarlyStopping:
      return "never";
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
    case Type::kTokenIdOrIds:
      return base::Json::parse("[1,2]", "example");
    case Type::kTokenLists:
      return base::Json::parse("[[1,2],[3]]", "example");
    case Type::kListNumbers:
      return base::Json::parse("[[[1,2],0.5],[[3],-1.0]]", "example");
    case Type::kLengthDecay:
      return base::Json::parse("[4,1.5]", "example");
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
    // What clients write is what the server reads.
    for (const Way way : {kCompletions, kChat}) {
      if ((field.ways & kOpenAI) == 0) continue;
      base::Json body = base::Json::object();
      if ((field.ways & way) == 0 && field.group != Group::kPrompt) {
        EXPECT_THROW(write_body(options, way, body), Error) << field.name;
        continue;
      }
      write_body(options, way, body);
      EXPECT_EQ(body.if_object()->size(), (field.ways & way) != 0 ? 1U : 0U) << field.name;
      if ((field.by_hand & way) != 0) continue;
      GenerateOptions arrived;
      read_body(body, way, arrived);
      EXPECT_EQ(get(field, arrived) == example, (field.ways & way) != 0) << field.name;
    }
  }
}

TEST(Fields, EveryRowGoesOutByTheNativeRoutes) {
  for (const Field& field : all()) {
    if ((field.ways & kNative) == 0 || (field.ways & kClient) == 0) continue;
    const base::Json example = example_of(field);
    GenerateOptions options;
    set(field, options, example, field.name, field.range);
    base::Json body = base::Json::object();
    write_native_body({}, options, body);
    EXPECT_EQ(body.if_object()->size(), 1U) << field.name << ": " << body.dump();
    const base::Json* inner = body.find("llm_config");
    EXPECT_EQ(inner == nullptr, field.is_beside_config) << field.name;
    GenerateOptions arrived;
    read_object(inner == nullptr ? body : *inner, kNative, "", arrived);
    EXPECT_EQ(get(field, arrived), example) << field.name;
    if (!has_config(field)) continue;
    LLMConfig patch;
    set(field, patch, example, field.name);
    base::Json patched = base::Json::object();
    write_native_body(patch, {}, patched);
    EXPECT_EQ(patched, body) << field.name << " of a patch";
  }
}

TEST(Fields, RequestsOverrideTheConfiguration) {
  LLMConfig config = initial_config();
  merge(config, GenerateOptions{.temperature = 0.25F, .n = 3});
  EXPECT_EQ(config.temperature, 0.25F);
  EXPECT_EQ(config.top_k, 50);
}

TEST(Fields, OfTwoLengthsTheLaterLayerDecides) {
  LLMConfig config = initial_config();
  merge(config, LLMConfig{.max_length = 4096, .min_length = 3});
  EXPECT_EQ(config.max_length, 4096);
  EXPECT_EQ(config.max_new_tokens, std::nullopt) << "so that the whole is a layer again";
  EXPECT_NO_THROW(check(config, ""));
  LLMConfig later = config;
  merge(later, LLMConfig{.max_new_tokens = 7});
  EXPECT_EQ(later.max_new_tokens, 7);
  EXPECT_EQ(later.max_length, std::nullopt);
  EXPECT_EQ(later.min_length, 3);
  merge(config, GenerateOptions{.min_new_tokens = 2, .max_length = 9});
  EXPECT_EQ(config.max_length, 9);
  EXPECT_EQ(config.min_length, std::nullopt);
  EXPECT_EQ(config.min_new_tokens, 2);
  EXPECT_TRUE(has_length(config));
  EXPECT_FALSE(has_length(initial_config()));
  EXPECT_TRUE(has_length(GenerateOptions{.max_length = 9}));
  EXPECT_FALSE(has_length(GenerateOptions{.min_length = 9}));
}

TEST(Fields, EmptyListsAndFalseTakeDefaultsBack) {
  int n = 0;
  for (const Field& field : all()) {
    const base::Json none = none_of(field);
    EXPECT_EQ(none.is_null(), !has_config(field) || field.initial || field.type == Type::kSeed)
        << field.name;
    if (none.is_null()) continue;
    ++n;
    LLMConfig below;
    set(field, below, example_of(field), field.name);
    below.n = 3;
    // A request.
    GenerateOptions options;
    set(field, options, none, field.name, field.range);
    EXPECT_EQ(get(field, options), none) << field.name;
    LLMConfig merged = below;
    merge(merged, options);
    merged.cleared.clear();
    EXPECT_EQ(merged, LLMConfig{.n = 3}) << field.name;
    // A layer over two others, which is one layer with the upper of them.
    LLMConfig patch;
    set(field, patch, none, field.name);
    LLMConfig upper = below;
    merge(upper, patch);
    merged = below;
    merge(merged, upper);
    EXPECT_EQ(get(field, merged), none) << field.name;
    merge(merged, below);
    EXPECT_EQ(merged, below) << field.name << ": set again";
    // A layer's own value counts.
    set(field, options, example_of(field), field.name, field.range);
    EXPECT_TRUE(options.cleared.empty()) << field.name;
  }
  EXPECT_GE(n, 19);
}

TEST(Fields, ClientsSayWhatTheyTakeBack) {
  for (const Field& field : all()) {
    if (!has_config(field)) continue;
    GenerateOptions options;
    clear(field, options);
    check(options);
    const base::Json value = get(field, options);
    EXPECT_FALSE(value.is_null()) << field.name;
    base::Json body = base::Json::object();
    write_native_body({}, options, body);
    const base::Json* inner = body.find("llm_config");
    const base::Json* sent = (field.is_beside_config ? body : *inner).find(field.name);
    ASSERT_NE(sent, nullptr) << field.name << ": " << body.dump();
    EXPECT_EQ(*sent, value) << field.name;
    LLMConfig patch;
    clear(field, patch);
    base::Json patched = base::Json::object();
    write_native_body(patch, {}, patched);
    EXPECT_EQ(patched, body) << field.name;
    if ((field.ways & kCompletions) == 0) continue;
    base::Json open = base::Json::object();
    write_body(options, kCompletions, open);
    EXPECT_EQ(*open.find(openai_name(field)), value) << field.name;
  }
  GenerateOptions unknown;
  unknown.cleared = {"temprature"};
  EXPECT_THROW(check(unknown), Error);
  LLMConfig requests;
  requests.cleared = {"request_id"};
  EXPECT_THROW(check(requests, "config"), Error) << "no configuration has it";
}

TEST(Fields, APatchsTimeIsTheServersAffair) {
  base::Json body = base::Json::object();
  write_native_body({.timeout = std::chrono::milliseconds(1500)}, {}, body);
  EXPECT_EQ(body.dump(), R"({"llm_config":{"timeout":1.5}})");
}

TEST(Fields, OneLayerSaysALengthInOneWay) {
  for (const LLMConfig& both : {LLMConfig{.max_new_tokens = 5, .max_length = 9},
                                LLMConfig{.min_new_tokens = 5, .min_length = 9}}) {
    const std::string length = both.max_length ? "max_" : "min_";
    try {
      check(both, "config");
      ADD_FAILURE() << length;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(error.where(), length + "length");
      EXPECT_EQ(std::string(error.what()), "config: " + length + "length: given beside " + length +
                                               "new_tokens (expected one of the two)");
    }
    base::Json body = base::Json::object();
    EXPECT_THROW(write_native_body(both, {}, body), Error) << "a client's patch";
    LLMConfig kept = both;
    keep_one_way(kept);
    EXPECT_EQ(kept.max_new_tokens, both.max_new_tokens);
    EXPECT_EQ(kept.min_new_tokens, both.min_new_tokens);
    EXPECT_FALSE(kept.max_length || kept.min_length);
  }
}

TEST(Fields, ListsOfARequestOverrideThoseOfTheConfiguration) {
  LLMConfig config;
  config.suppress_tokens = {1, 2};
  config.bad_words_ids = {{1}, {2}};
  config.sequence_bias = {{{1, 2}, 0.5F}};
  GenerateOptions request;
  request.suppress_tokens = std::vector<std::int32_t>{3};
  request.sequence_bias = ListNumbers{{{4}, 1.0F}};
  merge(config, request);
  EXPECT_EQ(config.suppress_tokens, std::vector<std::int32_t>{3});
  EXPECT_EQ(config.bad_words_ids, (TokenLists{{1}, {2}}));
  EXPECT_EQ(config.sequence_bias, (ListNumbers{{{4}, 1.0F}}));
}

TEST(Fields, ListsWithinListsAreRead) {
  EXPECT_EQ(read(R"({"bad_words_ids":[[1,2],[3.0]]})").bad_words_ids, (TokenLists{{1, 2}, {3}}));
  EXPECT_EQ(read(R"({"forced_eos_token_id":7})").forced_eos_token_id, std::vector<std::int32_t>{7});
  EXPECT_EQ(read(R"({"exponential_decay_length_penalty":[15,1.5]})")
                .exponential_decay_length_penalty->start,
            15);
  for (const auto& [body, message] : {
           std::pair{
               R"({"bad_words_ids":[[1],[]]})",
               "bad_words_ids[1]: invalid value (expected at least one token id, got an empty "
               "list)"},
           std::pair{R"({"bad_words_ids":[1]})",
                     "bad_words_ids[0]: wrong type (expected array, got integer)"},
           std::pair{R"({"sequence_bias":[[[1,-2],1.0]]})",
                     "sequence_bias[0][0][1]: invalid value (expected at least 0, got -2)"},
           std::pair{R"({"sequence_bias":[[[1],1.0],[[1],2.0]]})",
                     "sequence_bias[1]: these tokens are given twice"},
           std::pair{R"({"sequence_bias":{"1":2}})",
                     "sequence_bias: wrong type (expected array of pairs, got object)"},
           std::pair{R"({"exponential_decay_length_penalty":[15]})",
                     "exponential_decay_length_penalty: invalid value (expected a length and a "
                     "factor, got [15])"},
           std::pair{
               R"({"exponential_decay_length_penalty":[15,0]})",
               "exponential_decay_length_penalty[1]: invalid value (expected above 0, got 0)"},
           std::pair{R"({"allowed_token_ids":[]})",
                     "allowed_token_ids: invalid value (expected at least 1 entries, got 0)"},
           std::pair{R"({"epsilon_cutoff":1})",
                     "epsilon_cutoff: invalid value (expected 0 to below 1, got 1)"},
       }) {
    const std::string got = refusal(body);
    EXPECT_EQ(got.substr(got.rfind('|') + 1), message);
  }
  EXPECT_THROW(check(GenerateOptions{.bad_words_ids = TokenLists{{}}}), Error);
  EXPECT_THROW(check(GenerateOptions{.sequence_bias = ListNumbers{{{}, 1.0F}}}), Error);
  EXPECT_THROW(check(GenerateOptions{.exponential_decay_length_penalty = LengthDecay{-1, 2.0F}}),
               Error);
}

TEST(Fields, RangesAreCheckedWhateverTheWay) {
  EXPECT_THROW(check(GenerateOptions{.n = 0}), Error);
  EXPECT_THROW(check(GenerateOptions{.n = 129}), Error);
  EXPECT_THROW(check(GenerateOptions{.stop = std::vector<std::string>{""}}), Error);
  EXPECT_THROW(check(GenerateOptions{.timeout = std::chrono::milliseconds(0)}), Error);
  EXPECT_NO_THROW(check(GenerateOptions{.timeout = std::chrono::milliseconds::max()}));
  EXPECT_THROW(check(GenerateOptions{.logit_bias = {{5, 1.0F}, {6, NAN}}}), Error);
  EXPECT_NO_THROW(check(GenerateOptions{.logit_bias = {{5, -1e6F}}}));
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
  for (const char* body : {R"({"use_beam_search":true})", R"({"penalty_alpha":2})",
                           R"({"use_cache":false})", R"({"top_a":0.5})", R"({"eos_token_id":2})",
                           R"({"pad_token_id":2})", R"({"output_scores":true})"}) {
    EXPECT_THAT(refusal(body), HasSubstr("|unsupported_field|")) << body;
  }
  for (const char* body :
       {R"({"num_beams":1})", R"({"num_beams":1.0})", R"({"penalty_alpha":0})",
        R"({"use_cache":true})", R"({"top_a":0})", R"({"eos_token_id":null})",
        R"({"adapter_name":"a"})", R"({"force_words_ids":[]})", R"({"tomorrows_field":7})"}) {
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
        std::pair{R"({"penalty_alpha":2})",
                  "llm_config.penalty_alpha: unsupported (this server does not have that feature)"},
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
  EXPECT_THROW(write_body({.prompt_logprobs = 1}, kChat, body), Error);
  EXPECT_NO_THROW(write_body({.timeout = std::chrono::seconds(1)}, kChat, body));
  EXPECT_TRUE(body.if_object()->empty());
}

TEST(Fields, SuggestsTheNearestName) {
  EXPECT_EQ(did_you_mean("temprature"), "; did you mean temperature?");
  EXPECT_EQ(did_you_mean("num_beam"), "; did you mean num_beams?");
  EXPECT_EQ(did_you_mean("xyzzy"), "");
}

TEST(Range, IsToldInWords) {
  EXPECT_EQ(to_string(Range{}), "");
  EXPECT_EQ(to_string(Range{.min = 0}), "at least 0");
  EXPECT_EQ(to_string(Range{.min = 0, .is_above_min = true}), "above 0");
  EXPECT_EQ(to_string(Range{.min = 0, .max = 2}), "0 to 2");
  EXPECT_EQ(to_string(Range{.min = 0, .max = 1e7, .is_above_min = true}), "above 0 to 10000000");
  EXPECT_EQ(to_string(Range{.max = 0.5}), "at most 0.5");
  EXPECT_EQ(to_string(Range{.min = -1e20}), "at least -1e+20") << "beyond whole numbers";
}

}  // namespace
}  // namespace openllm::fields
