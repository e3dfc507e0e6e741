// Reading configurations value by value: ranges, types, absence, and the place in every message.

#include "model/config/config.h"

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

class ConfigTest : public testing::Test {
 protected:
  static std::string failure(const std::function<void()>& read) {
    const Error error = error_of(read);
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    return error.what();
  }

  const base::Json values_ = base::Json::parse(
      R"({"three": 3, "three_point": 3.0, "half": 2.5, "zero": 0, "minus": -1, "large": 1e300,
          "text": "a", "flag": true, "none": null, "list": [1, 2.5], "words": ["a", "b"],
          "mixed": [1, "a"], "inner": {"x": 1}, "empty": {}})",
      "test");
  const Config config_{values_, "config.json"};
};

TEST_F(ConfigTest, IntegersKeepToTheirRange) {
  EXPECT_EQ(config_.require_int("three", 3, 3), 3);
  EXPECT_EQ(config_.require_int("three_point", 0, 10), 3);
  EXPECT_EQ(config_.find_int("zero", 0, 0), 0);
  EXPECT_EQ(config_.find_int("minus", -1, 0), -1);
  EXPECT_EQ(config_.find_int("absent", 0, 9), std::nullopt);
  EXPECT_EQ(config_.find_int("none", 0, 9), std::nullopt);
  EXPECT_EQ(config_.int_or("absent", 7, 8, 9), 7);  // the default is the caller's
  EXPECT_EQ(config_.int_or("three", 7, 0, 9), 3);
  EXPECT_EQ(failure([&] { config_.find_int("three", 4, 9); }),
            "config.json: three: bad value (expected an integer from 4 to 9, got 3)");
  for (const char* key : {"three", "half", "large", "minus"}) {
    EXPECT_THAT(failure([&] { config_.find_int(key, 0, 2); }),
                testing::HasSubstr("expected an integer from 0 to 2"))
        << key;
  }
  EXPECT_EQ(failure([&] { config_.find_int("text", 0, 9); }),
            "config.json: text: wrong type (expected number, got string)");
  EXPECT_EQ(failure([&] { config_.require_int("none", 1, 9); }),
            "config.json: none: missing (expected an integer from 1 to 9)");
}

TEST_F(ConfigTest, NumbersArePositiveOrNotNegative) {
  EXPECT_EQ(config_.positive_or("half", 1.0), 2.5);
  EXPECT_EQ(config_.positive_or("none", 1.0), 1.0);
  EXPECT_EQ(config_.find_positive("absent"), std::nullopt);
  EXPECT_EQ(config_.not_negative_or("zero", 1.0), 0.0);
  EXPECT_EQ(config_.not_negative_or("absent", 4.0), 4.0);
  for (const char* key : {"zero", "minus"}) {
    EXPECT_THAT(failure([&] { config_.positive_or(key, 1.0); }),
                testing::HasSubstr("expected a positive number"));
  }
  EXPECT_THAT(failure([&] { config_.not_negative_or("minus", 1.0); }),
              testing::HasSubstr("expected a number >= 0, got -1"));
  base::Json object = base::Json::object();
  object["x"] = base::Json(HUGE_VAL);
  const Config config(object, "c");
  EXPECT_THAT(failure([&] { config.positive_or("x", 1.0); }), testing::HasSubstr("positive"));
  EXPECT_THAT(failure([&] { config.not_negative_or("x", 1.0); }), testing::HasSubstr(">= 0"));
  EXPECT_THAT(failure([&] { config.find_int("x", 0, 9); }), testing::HasSubstr("integer"));
}

TEST_F(ConfigTest, TypesAreNamed) {
  EXPECT_TRUE(config_.bool_or("flag", false));
  EXPECT_TRUE(config_.bool_or("none", true));
  EXPECT_EQ(config_.string_or("text", "b"), "a");
  EXPECT_EQ(config_.string_or("absent", "b"), "b");
  EXPECT_EQ(config_.numbers("list"), (std::vector<double>{1.0, 2.5}));
  EXPECT_EQ(config_.strings("words"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config_.numbers("none"), std::nullopt);
  EXPECT_EQ(config_.strings("absent"), std::nullopt);
  EXPECT_THAT(failure([&] { config_.bool_or("three", false); }),
              testing::HasSubstr("three: wrong type (expected boolean, got"));
  EXPECT_THAT(failure([&] { config_.string_or("flag", ""); }),
              testing::HasSubstr("flag: wrong type (expected string, got"));
  EXPECT_THAT(failure([&] { config_.numbers("text"); }), testing::HasSubstr("expected array"));
  EXPECT_THAT(failure([&] { config_.numbers("mixed"); }),
              testing::HasSubstr("wrong element type (expected number, got string)"));
  EXPECT_THAT(failure([&] { config_.strings("mixed"); }),
              testing::HasSubstr("wrong element type (expected string, got"));
  EXPECT_THAT(failure([&] { config_.object("list"); }), testing::HasSubstr("expected object"));
}

TEST_F(ConfigTest, NullCountsAsAbsentButIsMentioned) {
  EXPECT_FALSE(config_.has("none"));
  EXPECT_TRUE(config_.mentions("none"));
  EXPECT_FALSE(config_.mentions("absent"));
  EXPECT_EQ(config_.first_of({"none", "three", "half"}), "three");
  EXPECT_EQ(config_.first_of({"absent", "none"}), "none");
  EXPECT_EQ(config_.object("absent"), std::nullopt);
}

TEST_F(ConfigTest, InnerObjectsAndPrefixesAreInTheMessage) {
  const std::optional<Config> inner = config_.object("inner");
  ASSERT_TRUE(inner.has_value());
  EXPECT_EQ(inner->require_int("x", 0, 1), 1);
  EXPECT_EQ(failure([&] { inner->require_int("y", 0, 1); }),
            "config.json: inner: y: missing (expected an integer from 0 to 1)");
  EXPECT_TRUE(config_.object("empty")->empty());
  EXPECT_FALSE(inner->empty());
  base::Json gguf = base::Json::object();
  gguf["llama.x"] = base::Json(5);
  gguf["x"] = base::Json(6);
  const Config prefixed(gguf, "m.gguf", "llama.");
  EXPECT_EQ(prefixed.require_int("x", 0, 9), 5);
  EXPECT_EQ(prefixed.members().size(), 2U);
  EXPECT_EQ(failure([&] { prefixed.require_int("x", 0, 4); }),
            "m.gguf: llama.x: bad value (expected an integer from 0 to 4, got 5)");
  const Config no_object(values_.find("list") == nullptr ? values_ : *values_.find("list"), "l");
  EXPECT_TRUE(no_object.empty());
  EXPECT_FALSE(no_object.has("x"));
}

}  // namespace
}  // namespace openllm::model::test
