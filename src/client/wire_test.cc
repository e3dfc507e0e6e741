#include "client/wire.h"

#include <gmock/gmock.h>

namespace openllm::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ErrorCode parse_failure(std::string_view text, std::string* message = nullptr) {
  try {
    parse_answer(text);
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  ADD_FAILURE() << "no error: " << text;
  return ErrorCode::kInternal;
}

TEST(Wire, WhatIsNotJsonIsTheServersFault) {
  std::string message;
  EXPECT_EQ(parse_failure("<html>\x1B[2J\nlogin", &message), ErrorCode::kIo);
  EXPECT_THAT(message, HasSubstr("<html> [2J login"));
  EXPECT_EQ(parse_failure("", &message), ErrorCode::kIo);
  EXPECT_THAT(message, HasSubstr("got nothing"));
}

TEST(Wire, PartsSayHowManyTokensAreNew) {
  const auto part = [](const std::string& ids) {
    return parse_answer(R"({"choices":[{"index":0,"text":"a","token_ids":)" + ids + "}]}");
  };
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    GenerationOutput output;
    output.outputs.resize(1);
    merge_answer(output, part("[1,2]"), kind);
    EXPECT_EQ(output.outputs[0].n_delta_tokens, 2U);
    merge_answer(output, part("[3]"), kind);
    EXPECT_EQ(output.outputs[0].n_delta_tokens, 1U);
    EXPECT_EQ(output.outputs[0].token_ids.size(), kind == OutputKind::kDelta ? 1U : 3U);
    merge_answer(output, part("[]"), kind);
    EXPECT_EQ(output.outputs[0].n_delta_tokens, 0U);
  }
}

TEST(Wire, ChoicesUsageAndLikelyTokens) {
  GenerationOutput output;
  output.outputs.resize(2);
  const auto merge = [&](const std::string& text) { merge_answer(output, parse_answer(text)); };
  EXPECT_THROW(merge(R"({"choices":[{"index":2,"text":"a"}]})"), Error);
  EXPECT_THROW(merge(R"({"choices":[{"index":-1,"text":"a"}]})"), Error);
  merge(R"({"choices":[],"usage":{"prompt_tokens_details":{"cached_tokens":7}}})");
  EXPECT_EQ(output.n_cached_tokens, 7);
  merge(R"({"choices":[{"index":1,"delta":{"content":"a"},"logprobs":{"content":[)"
        R"({"token":"token_id:5","logprob":-1,"top_logprobs":[)"
        R"({"token":"token_id:5","logprob":-1},{"token":"token_id:6","logprob":-2}]}]}}]})");
  ASSERT_EQ(output.outputs[1].logprobs->size(), 1U);
  const TokenLogprobs& list = output.outputs[1].logprobs->front();
  ASSERT_EQ(list.size(), 2U) << "the chosen one once";
  EXPECT_EQ(list[1].token_id, 6);
}

TEST(Wire, PromptsOfTokensAreSentAsTheyAre) {
  const base::Json body =
      base::Json::parse(make_body(std::vector<std::int32_t>{1, 403}, {}, "m", false), "body");
  EXPECT_EQ(body.find("prompt")->dump(), "[1,403]");
  EXPECT_EQ(body.find("messages"), nullptr);
  EXPECT_THROW(make_body(std::vector<std::int32_t>{}, {}, "m", false), Error);
}

TEST(Wire, ErrorsInsideOfAnswers) {
  EXPECT_EQ(parse_failure(R"({"error":{"message":"m","code":"unavailable"}})"),
            ErrorCode::kUnavailable);
  EXPECT_EQ(parse_failure(R"({"error":{"message":"m","code":"deadline_exceeded"}})"),
            ErrorCode::kDeadline);
  EXPECT_EQ(parse_failure(R"({"error":{"message":"m","code":429}})"), ErrorCode::kBusy);
  std::string message;
  EXPECT_EQ(parse_failure(R"({"error":"boom"})", &message), ErrorCode::kInternal);
  EXPECT_EQ(message, "boom");
  EXPECT_NO_THROW(parse_answer(R"({"choices":[],"error":null})"));
}

TEST(Wire, ErrorBodiesOfOtherServers) {
  const auto message = [](std::string_view body) {
    return std::string(make_error(400, body).what());
  };
  EXPECT_EQ(message(R"({"error":{"message":"a"}})"), "a");
  EXPECT_EQ(message(R"({"error":"b"})"), "b");
  EXPECT_EQ(message(R"({"object":"error","message":"c","code":400})"), "c");
  EXPECT_EQ(message(R"({"detail":"d"})"), "d");
  EXPECT_THAT(message(R"({"detail":[{"msg":"e"}]})"),
              HasSubstr(R"(400: {"detail":[{"msg":"e"}]})"));
  EXPECT_THAT(message(std::string(1000, 'x')), HasSubstr("xxx..."));
  const Error length = make_error(
      400, R"({"error":{"message":"a","param":"prompt","code":"context_length_exceeded"}})");
  EXPECT_EQ(length.reason(), ErrorReason::kContextTooLong);
  EXPECT_EQ(length.where(), "prompt");
  EXPECT_EQ(make_error(502, "<html>").code(), ErrorCode::kUnavailable);
  EXPECT_EQ(make_error(429, R"({"error":{"message":"a","code":null}})").code(), ErrorCode::kBusy);
  EXPECT_EQ(make_error(429, R"({"error":{"message":"a","code":"insufficient_quota"}})").code(),
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(make_error(503, R"({"error":{"message":"a","code":500}})").code(),
            ErrorCode::kUnavailable)
      << "a real status says more";
}

TEST(Wire, WrongShapesAreTheServersFault) {
  for (const char* answer : {"5", "{}", R"({"choices":5})", R"({"choices":[{"index":7}]})",
                             R"({"choices":[{"index":"a"}]})", R"({"choices":[{"index":-1}]})",
                             R"({"choices":[{"token_ids":["a"]}]})"}) {
    GenerationOutput output;
    output.outputs.resize(1);
    try {
      merge_answer(output, base::Json::parse(answer, "test"));
      ADD_FAILURE() << answer;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo) << answer;
    }
  }
  GenerationOutput output;
  output.outputs.resize(1);
  for (const char* odd :
       {R"({"choices":[5,{}]})", R"({"choices":[{"delta":null}]})",
        R"({"choices":[{"delta":{"content":5}}]})", R"({"choices":[],"usage":5})"}) {
    EXPECT_NO_THROW(merge_answer(output, base::Json::parse(odd, "test"))) << odd;
  }
}

TEST(Wire, OutputKinds) {
  const base::Json one =
      base::Json::parse(R"({"choices":[{"index":0,"text":"a","token_ids":[1]}]})", "test");
  GenerationOutput sum;
  GenerationOutput news;
  sum.outputs.resize(1);
  news.outputs.resize(1);
  for (int i = 0; i < 2; ++i) {
    merge_answer(sum, one);
    merge_answer(news, one, OutputKind::kDelta);
  }
  EXPECT_EQ(sum.outputs[0].text, "aa");
  EXPECT_EQ(sum.outputs[0].delta, "a");
  EXPECT_EQ(sum.outputs[0].token_ids.size(), 2U);
  EXPECT_EQ(news.outputs[0].text, "a");
  EXPECT_EQ(news.outputs[0].token_ids.size(), 1U);
}

}  // namespace
}  // namespace openllm::client
