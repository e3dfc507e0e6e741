#include "client/wire.h"

#include <gmock/gmock.h>

#include "client/server_error.h"

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
  EXPECT_THROW(merge(R"({"choices":[{"index":128,"text":"a"}]})"), Error);
  EXPECT_THROW(merge(R"({"choices":[{"index":-1,"text":"a"}]})"), Error);
  merge(R"({"choices":[],"usage":{"prompt_tokens_details":{"cached_tokens":7}}})");
  EXPECT_EQ(output.n_cached_tokens, 7);
  EXPECT_EQ(output.usage.n_cached_tokens, 7);
  merge(R"({"choices":[{"index":1,"delta":{"content":"a"},"logprobs":{"content":[)"
        R"({"token":"token_id:5","logprob":-1,"top_logprobs":[)"
        R"({"token":"token_id:5","logprob":-1},{"token":"token_id:6","logprob":-2}]}]}}]})");
  ASSERT_EQ(output.outputs[1].logprobs->size(), 1U);
  const TokenLogprobs& list = output.outputs[1].logprobs->front();
  ASSERT_EQ(list.size(), 2U) << "the chosen one once";
  EXPECT_EQ(list[1].token_id, 6);
}

TEST(Wire, UsageIsCountedUntilTheServerTellsIt) {
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    GenerationOutput output;
    output.outputs.resize(2);
    const auto merge = [&](const std::string& text) {
      merge_answer(output, parse_answer(text), kind);
    };
    merge(R"({"choices":[{"index":0,"text":"a","token_ids":[1,2],"prompt_token_ids":[7,8,9]},)"
          R"({"index":1,"text":"a","token_ids":[1]}]})");
    merge(R"({"choices":[{"index":1,"text":"b","token_ids":[4]}],"usage":null})");
    EXPECT_EQ(output.usage.n_prompt_tokens, 3);
    EXPECT_EQ(output.usage.n_completion_tokens, 4);
    merge(R"({"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":50,)"
          R"("prompt_tokens_details":{"cached_tokens":2}}})");
    EXPECT_EQ(output.usage.n_prompt_tokens, 30);
    EXPECT_EQ(output.usage.n_completion_tokens, 50);
    EXPECT_EQ(output.usage.n_cached_tokens, 2);
    merge(R"({"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":"5"}})");
    EXPECT_EQ(output.usage.n_prompt_tokens, 3) << "what makes no sense is not believed";
    EXPECT_EQ(output.usage.n_completion_tokens, 50);
  }
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
  for (const char* answer : {"5", "{}", R"({"choices":5})", R"({"choices":[{"index":128}]})",
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

TEST(Wire, LikelyTokensOfCompletionsHaveTheChosenOneOnce) {
  GenerationOutput output;
  output.outputs.resize(1);
  merge_answer(output,
               parse_answer(R"({"choices":[{"index":0,"text":"ab","logprobs":{)"
                            R"("tokens":["token_id:5","token_id:7","token_id:8"],)"
                            R"("token_logprobs":[-1,null,-0.5],"top_logprobs":[)"
                            R"({"token_id:5":-1,"token_id:6":-2,"token_id:9":null},null]}}]})"));
  const CompletionChunk& chunk = output.outputs[0];
  ASSERT_EQ(chunk.logprobs->size(), 3U);
  const TokenLogprobs& first = chunk.logprobs->at(0);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].token_id, 5);
  EXPECT_EQ(first[1].token_id, 6);
  EXPECT_EQ(first[1].logprob, -2.0F);
  EXPECT_EQ(chunk.logprobs->at(1).size(), 1U);
  EXPECT_EQ(chunk.logprobs->at(2)[0].token_id, 8);
  EXPECT_DOUBLE_EQ(chunk.cumulative_logprob, -1.5);
}

TEST(NotInherited, N24TheServersSumOfLogprobsIsTakenWithoutLogprobs) {
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    GenerationOutput output;
    output.outputs.resize(1);
    const auto merge = [&](const std::string& members) {
      merge_answer(output, parse_answer(R"({"choices":[{"index":0,"text":"a",)" + members + "}]}"),
                   kind);
      return output.outputs[0].cumulative_logprob;
    };
    EXPECT_DOUBLE_EQ(merge(R"("cumulative_logprob":-1.25)"), -1.25);
    EXPECT_DOUBLE_EQ(merge(R"("cumulative_logprob":-3.5)"), -3.5) << "from the beginning";
    EXPECT_DOUBLE_EQ(merge(R"("cumulative_logprob":null)"), -3.5);
    EXPECT_DOUBLE_EQ(merge(R"("logprobs":{"tokens":["x"],"token_logprobs":[-1]})"), -4.5)
        << "a server that only lists them";
  }
}

TEST(Wire, LongTextsAreCutInMessages) {
  const auto message = [](std::size_t n) {
    return std::string(make_error(400, std::string(n, 'x')).what());
  };
  EXPECT_TRUE(message(200).ends_with(": " + std::string(200, 'x'))) << message(200);
  EXPECT_TRUE(message(201).ends_with(": " + std::string(200, 'x') + "...")) << message(201);
}

TEST(Wire, StatusesBecomeCodes) {
  using enum ErrorCode;
  for (const auto& [status, code] :
       {std::pair{400, kInvalidArgument}, std::pair{401, kInvalidArgument},
        std::pair{403, kInvalidArgument}, std::pair{404, kNotFound}, std::pair{405, kNotFound},
        std::pair{408, kDeadline}, std::pair{413, kInvalidArgument},
        std::pair{415, kInvalidArgument}, std::pair{418, kIo}, std::pair{422, kInvalidArgument},
        std::pair{429, kBusy}, std::pair{500, kInternal}, std::pair{501, kUnsupported},
        std::pair{502, kUnavailable}, std::pair{503, kUnavailable}, std::pair{504, kDeadline},
        std::pair{599, kInternal}, std::pair{302, kIo}}) {
    EXPECT_EQ(make_error(status, R"({"error":{"message":"m"}})").code(), code) << status;
    EXPECT_EQ(make_error(status, "").code(), code) << status;
  }
}

TEST(Wire, CodesSayMoreThanStatuses) {
  using enum ErrorCode;
  struct Case {
    const char* name;
    ErrorCode code;
    ErrorReason reason;
  };
  for (const Case& c :
       {Case{"chat_template_missing", kUnsupported, ErrorReason::kTemplateMissing},
        Case{"unsupported_parameter", kUnsupported, ErrorReason::kUnsupportedField},
        Case{"unknown_parameter", kInvalidArgument, ErrorReason::kUnknownField},
        Case{"missing_required_parameter", kInvalidArgument, ErrorReason::kMissingField},
        Case{"context_length_exceeded", kInvalidArgument, ErrorReason::kContextTooLong},
        Case{"model_not_found", kNotFound, ErrorReason::kModelNotFound},
        Case{"model_load_failed", kUnavailable, ErrorReason::kModelNotLoaded},
        Case{"unavailable", kUnavailable, ErrorReason::kNone},
        Case{"rate_limit_exceeded", kBusy, ErrorReason::kNone},
        Case{"insufficient_quota", kResourceExhausted, ErrorReason::kNone},
        Case{"deadline_exceeded", kDeadline, ErrorReason::kNone}}) {
    const Error error =
        make_error(418, std::string(R"({"error":{"message":"m","code":")") + c.name + "\"}}");
    EXPECT_EQ(error.code(), c.code) << c.name;
    EXPECT_EQ(error.reason(), c.reason) << c.name;
  }
}

TEST(Wire, BodiesAskForWhatTheAnswerIsReadFrom) {
  const auto body = [](const Prompt& prompt, const GenerateOptions& options, bool stream) {
    return make_body(prompt, options, "m", stream);
  };
  EXPECT_EQ(body("a", {}, false), R"({"model":"m","prompt":"a","return_token_ids":true})");
  EXPECT_EQ(body("a", {.logprobs = 3}, true),
            R"({"model":"m","prompt":"a","logprobs":3,"return_token_ids":true,)"
            R"("return_tokens_as_token_ids":true,"stream":true,)"
            R"("stream_options":{"include_usage":true}})");
  EXPECT_EQ(body(std::vector<Message>{{.role = "user", .content = "hi"}}, {.logprobs = 0}, false),
            R"({"model":"m","messages":[{"role":"user","content":"hi"}],"logprobs":true,)"
            R"("top_logprobs":0,"return_token_ids":true,"return_tokens_as_token_ids":true})");
  EXPECT_THAT(body("a", {.seed = kRandomSeed}, false), HasSubstr("\"seed\":-1"));
  EXPECT_THAT(body("a", {.seed = ~std::uint64_t{0} - 1}, false), HasSubstr("\"seed\":-2"));
}

TEST(Wire, TokensThatAreNamedByTheirTextHaveNoId) {
  GenerationOutput output;
  output.outputs.resize(1);
  merge_answer(output, parse_answer(R"({"choices":[{"index":0,"logprobs":{"content":[)"
                                    R"({"token":"chapter: 5","logprob":-1},)"
                                    R"({"token":"token_id:5","logprob":-1}]}}]})"));
  ASSERT_EQ(output.outputs[0].logprobs->size(), 2U);
  EXPECT_EQ(output.outputs[0].logprobs->at(0)[0].token_id, -1);
  EXPECT_EQ(output.outputs[0].logprobs->at(1)[0].token_id, 5);
}

}  // namespace
}  // namespace openllm::client
