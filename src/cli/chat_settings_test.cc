#include "cli/chat_settings.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "openllm/error.h"

namespace openllm::cli {
namespace {

std::string set_all(const std::vector<std::pair<std::string, std::string>>& settings) {
  GenerateOptions options;
  for (const auto& [name, value] : settings) set_field(options, Asked::kLlm, name, value);
  return fields_to_json(options).dump();
}

TEST(ChatSettings, TakeTheNamesThatFieldsAndOptionsHave) {
  EXPECT_EQ(set_all({{"temperature", "0.2"}}), R"({"temperature":0.2})");
  EXPECT_EQ(set_all({{"temp", "0.2"}}), R"({"temperature":0.2})");
  EXPECT_EQ(set_all({{"--max-tokens", "5"}}), R"({"max_new_tokens":5})");
  EXPECT_EQ(set_all({{"max_tokens", "5"}}), R"({"max_new_tokens":5})");
  EXPECT_EQ(set_all({{"top-k", "7"}, {"seed", "3"}}), R"({"top_k":7,"seed":3})");
  EXPECT_EQ(set_all({{"ignore-eos", "on"}}), R"({"ignore_eos":true})");
  EXPECT_EQ(set_all({{"stop", "the end"}}), R"({"stop":["the end"]})");
  EXPECT_EQ(set_all({{"stop", R"(["a","b"])"}}), R"({"stop":["a","b"]})");
  EXPECT_EQ(set_all({{"stop-token-ids", "1,2"}}), R"({"stop_token_ids":[1,2]})");
  EXPECT_EQ(set_all({{"timeout", "1.5"}}), R"({"timeout":1.5})");
}

TEST(ChatSettings, CanBeSetBack) {
  EXPECT_EQ(set_all({{"temperature", "0.2"}, {"top-p", "0.5"}, {"temperature", "default"}}),
            R"({"top_p":0.5})");
  EXPECT_EQ(set_all({{"seed", "7"}, {"seed", "-1"}}), R"({"seed":-1})") << "over a default too";
  EXPECT_EQ(set_all({{"seed", "7"}, {"seed", "default"}}), "{}");
  EXPECT_EQ(set_all({{"stop", "x"}, {"stop", "[]"}}), R"({"stop":[]})") << "over a default too";
  EXPECT_EQ(set_all({{"stop", "[]"}, {"stop", "default"}}), "{}");
  EXPECT_EQ(set_all({{"stop", "[]"}, {"stop", "x"}}), R"({"stop":["x"]})");
  EXPECT_EQ(set_all({{"ignore-eos", "true"}, {"ignore-eos", "default"}}), "{}");
  EXPECT_EQ(set_all({{"ignore-eos", "off"}}), R"({"ignore_eos":false})") << "over a default";
}

TEST(ChatSettings, RefuseWhatAChatCannotDo) {
  const std::vector<std::pair<std::string, std::string>> bad{{"temprature", "1"},
                                                             {"temperature", "-1"},
                                                             {"temperature", "warm"},
                                                             {"temperature", "nan"},
                                                             {"n", "2"},
                                                             {"logprobs", "3"},
                                                             {"max_tokens", "1.5"},
                                                             {"top-p", "2"},
                                                             {"eos-token-id", "x"},
                                                             {"", "1"},
                                                             {"---", "1"},
                                                             {"seed", "x"},
                                                             {"prompt-logprobs", "1"}};
  for (const auto& [name, value] : bad) {
    GenerateOptions options;
    options.top_k = 3;
    EXPECT_THROW(set_field(options, Asked::kLlm, name, value), Error) << name << ' ' << value;
    EXPECT_EQ(fields_to_json(options).dump(), R"({"top_k":3})") << name << ' ' << value;
  }
}

TEST(ChatSettings, ComeBackFromTheirJson) {
  GenerateOptions options;
  options.top_k = 3;
  fields_from_json(options, Asked::kLlm, base::Json::parse(R"({"min_p":0.25,"stop":["x"]})", ""));
  EXPECT_EQ(fields_to_json(options).dump(), R"({"min_p":0.25,"stop":["x"]})");
  for (const char* bad : {R"({"nonsense":1})", R"({"n":2})", R"({"min_p":7})", "[]"}) {
    EXPECT_THROW(fields_from_json(options, Asked::kLlm, base::Json::parse(bad, "")), Error) << bad;
    EXPECT_EQ(fields_to_json(options).dump(), R"({"min_p":0.25,"stop":["x"]})") << bad;
  }
}

/// What applying a setting throws.
Error refusal_of(const std::string& setting) {
  GenerateOptions options;
  try {
    apply_setting(options, Asked::kServer, setting);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << setting << " was taken";
  return {ErrorCode::kInternal, ""};
}

TEST(ApplySetting, SetsAnyFieldOfOneRequest) {
  GenerateOptions options;
  EXPECT_EQ(apply_setting(options, Asked::kServer, "top_p=0.5"), "--top-p");
  EXPECT_EQ(apply_setting(options, Asked::kServer, "max_tokens=7"), "--max-new-tokens");
  apply_setting(options, Asked::kServer, "n=3");  // unlike in chats
  apply_setting(options, Asked::kServer, "stop=a=b");
  apply_setting(options, Asked::kServer, "num_beams=1");
  EXPECT_EQ(options.top_p, 0.5F);
  EXPECT_EQ(options.max_new_tokens, 7);
  EXPECT_EQ(options.n, 3);
  EXPECT_EQ(options.stop, std::vector<std::string>{"a=b"});
}

TEST(ApplySetting, NotInherited_N12UnknownKeysAreErrors) {
  EXPECT_EQ(refusal_of("typoed_field=3").code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of("top_p").code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of("=1").code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of("top_p=2").code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of("penalty_alpha=4").code(), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace openllm::cli
