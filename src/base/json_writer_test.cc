#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.h"

namespace openllm::base {
namespace {

TEST(JsonWriter, NestsAndSeparates) {
  std::string out = "data: ";
  JsonWriter json(out);
  json.begin_object().member("id", "a\"b").key("list").begin_array();
  json.begin_object().end_object().value(1).begin_array().end_array().value(true).null();
  json.end_array().member("n", std::int64_t{-5}).key("last").begin_object();
  json.member("ids", std::vector<std::int32_t>{1, 2}).member("none", std::vector<std::int32_t>{});
  json.end_object().end_object();
  EXPECT_EQ(
      out,
      R"(data: {"id":"a\"b","list":[{},1,[],true,null],"n":-5,"last":{"ids":[1,2],"none":[]}})");
}

TEST(JsonWriter, TextIsTextAndNeverABoolean) {
  std::string out;
  const std::string text = "x\n";
  JsonWriter(out).begin_array().value(text).value("y").value(std::string_view("")).end_array();
  EXPECT_EQ(out, R"(["x\n","y",""])");
}

TEST(JsonWriter, EmptyTextCanBeNull) {
  std::string out;
  JsonWriter(out).begin_array().text_or_null("").text_or_null("a").end_array();
  EXPECT_EQ(out, R"([null,"a"])");
}

TEST(JsonWriter, FloatsAreAsShortAsTheyCanBe) {
  std::string out;
  JsonWriter json(out);
  json.begin_array().value(0.1F).value(-2.0F).value(1e-30F).value(INFINITY).value(-INFINITY);
  json.value(std::numeric_limits<float>::quiet_NaN()).end_array();
  EXPECT_EQ(out, "[0.1,-2,1e-30,null,null,null]");
  EXPECT_NO_THROW(Json::parse(out, "test"));
}

TEST(JsonWriter, TakesTextThatIsJsonAlready) {
  std::string out;
  JsonWriter json(out);
  json.begin_array().raw("").raw(R"({"a":1},2)").raw("").raw("3").end_array();
  EXPECT_EQ(out, R"([{"a":1},2,3])");
}

TEST(JsonWriter, ReplacesWhatIsNotUtf8) {
  std::string out;
  JsonWriter(out).begin_object().member("\xFF", "\xC3").end_object();
  EXPECT_EQ(out, "{\"\xEF\xBF\xBD\":\"\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace openllm::base
