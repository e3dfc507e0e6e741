#include "base/json_setting.h"

#include <gmock/gmock.h>

#include <string>

#include "openllm/error.h"

namespace openllm::base {
namespace {

std::string message(const std::string& text) {
  try {
    return parse_setting_or_text(text, "VARIABLE").dump();
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "VARIABLE");
    return error.what();
  }
}

TEST(JsonSetting, EqualKeysAreAnErrorThatNamesBoth) {
  EXPECT_EQ(message(R"({"a":{"b":1,"b":2}})"), "VARIABLE: a.b: given twice in one object");
  EXPECT_EQ(message(R"({"":1,"":1})"), "VARIABLE: : given twice in one object");
  EXPECT_THROW(parse_setting("{", "VARIABLE"), Error);
}

TEST(JsonSetting, WhatIsNoJsonIsItself) {
  EXPECT_EQ(message(R"({"a":1})"), R"({"a":1})");
  EXPECT_EQ(message("cat"), "\"cat\"");
  EXPECT_EQ(message("{\"a\":1"), R"("{\"a\":1")");
  EXPECT_EQ(message(""), "\"\"");
}

}  // namespace
}  // namespace openllm::base
