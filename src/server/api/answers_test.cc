#include "server/api/answers.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <new>

#include "base/json.h"
#include "server/dialect.h"

namespace openllm::server {
namespace {

using ::testing::HasSubstr;

LogprobWriter writer(int n_top, bool as_ids = false) {
  LogprobWriter::Vocabulary vocabulary;
  vocabulary.bytes = [](std::int32_t id) -> std::string {
    switch (id) {
      case 0:
        return "<s>";
      case 1:
        return " h\xC3\xA9";
      case 2:
        return "\xE2\x82";  // two thirds of a euro sign
      case 3:
        return "\xAC";
      default:
        return "x";
    }
  };
  return {std::move(vocabulary), as_ids, n_top};
}

TEST(Logprobs, CompletionsShape) {
  std::string out;
  const PlacedTokens placed{{0, 1, 2, 3, 4},
                            {{},
                             {{1, -0.5F}, {4, -1.0F}},
                             {{2, -2.0F}, {1, -0.1F}},
                             {{3, -0.25F}},
                             {{4, -INFINITY}, {5, -3.0F}}},
                            {0, 0, 3, 4, 4}};
  writer(1).append_completion(out, placed);
  const base::Json json = base::Json::parse(out, "test");
  EXPECT_EQ(json.find("tokens")->dump(), R"(["<s>"," h)"
                                         "\xC3\xA9"
                                         R"(","bytes:\\xe2\\x82","bytes:\\xac","x"])");
  EXPECT_EQ(json.find("token_logprobs")->dump(), "[null,-0.5,-2,-0.25,-9999.0]");
  EXPECT_EQ(json.find("text_offset")->dump(), "[0,0,3,4,4]");
  // The chosen token is listed even when it is not among the most likely; tokens with the same text
  // once.
  EXPECT_EQ(json.find("top_logprobs")->dump(), R"([null,{" h)"
                                               "\xC3\xA9"
                                               R"(":-0.5},{" h)"
                                               "\xC3\xA9"
                                               R"(":-0.1,"bytes:\\xe2\\x82":-2},)"
                                               R"({"bytes:\\xac":-0.25},{"x":-3}])");
}

TEST(Logprobs, ChatShape) {
  std::string out;
  const std::vector<TokenLogprobs> lists{{{2, -2.0F}, {1, -0.5F}}};
  writer(1).append_chat(out, lists);
  EXPECT_EQ(
      out,
      R"({"content":[{"token":"\\xe2\\x82","logprob":-2,"bytes":[226,130],"top_logprobs":[{"token":" h)"
      "\xC3\xA9"
      R"(","logprob":-0.5,"bytes":[32,104,195,169]}]}],"refusal":null})");
  EXPECT_NO_THROW(base::Json::parse(out, "test"));
}

TEST(Logprobs, TokensAsIds) {
  std::string out;
  writer(0, true).append_completion(out, {{4}, {{{4, -1.0F}}}, {0}});
  EXPECT_EQ(
      out,
      R"({"tokens":["token_id:4"],"token_logprobs":[-1],"top_logprobs":[],"text_offset":[0]})");
}

/// Ids are all that there is, and names by text are refused.
TEST(Logprobs, WithoutATokenizer) {
  const std::vector<TokenLogprobs> lists{{}, {{4, -1.0F}, {5, -2.0F}}};
  const PlacedTokens placed{{4}, {lists[1]}, {0}};
  std::string out;
  const LogprobWriter ids({}, true, 1);
  ids.append_completion(out, placed);
  EXPECT_EQ(out, R"({"tokens":["token_id:4"],"token_logprobs":[-1],)"
                 R"("top_logprobs":[{"token_id:4":-1}],"text_offset":[0]})");
  out.clear();
  ids.append_prompt(out, lists, 2);
  EXPECT_EQ(out, R"([null,{"4":{"logprob":-1,"rank":1,"decoded_token":null},)"
                 R"("5":{"logprob":-2,"rank":2,"decoded_token":null}}])");
  try {
    LogprobWriter({}, false, 1).append_completion(out, placed);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.where(), "logprobs");
  }
}

TEST(ChatAnswer, Chunks) {
  const ChatAnswer answer({"chatcmpl-1", 7, "a/b", "fp_1"}, writer(0), true, false);
  EXPECT_EQ(
      answer.role_chunk(0, nullptr),
      R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"a/b",)"
      R"("system_fingerprint":"fp_1","choices":[{"index":0,)"
      R"("delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})");
  CompletionChunk chunk;
  chunk.index = 1;
  chunk.delta = "a\"\n";
  EXPECT_THAT(answer.text_chunk(chunk), HasSubstr(R"("delta":{"content":"a\"\n"})"));
  EXPECT_THAT(answer.finish_chunk(1, "stop"),
              HasSubstr(R"("delta":{},"logprobs":null,"finish_reason":"stop"})"));
  EXPECT_THAT(
      answer.end_chunk({3, 4, 2}, Receipts(1)),
      HasSubstr(R"("choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,)"
                R"("prompt_tokens_details":{"cached_tokens":2}}})"));
}

HttpResponse error_response(const std::exception& error) {
  return server::error_response(kOpenAiDialect, error_report(error));
}

TEST(Errors, Bodies) {
  EXPECT_EQ(
      error_body(error_report(400, "n: bad", "n")),
      R"({"error":{"message":"n: bad","type":"invalid_request_error","param":"n","code":null}})");
  const HttpResponse full = error_response(Error(ErrorCode::kBusy, "remote: come back later"));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.headers.find("retry-after"), "1");
  EXPECT_EQ(full.headers.find("retry-after-ms"), "") << "nobody knows";
  for (const auto& [wait, seconds, exact] :
       {std::tuple{1, "1", "1"}, std::tuple{1000, "1", "1000"}, std::tuple{1001, "2", "1001"},
        std::tuple{3'600'000, "60", "60000"}}) {
    const HttpResponse told = error_response(
        Error(ErrorCode::kBusy, "m", "", ErrorReason::kNone, std::chrono::milliseconds(wait)));
    EXPECT_EQ(told.headers.find("retry-after"), seconds) << wait;
    EXPECT_EQ(told.headers.find("retry-after-ms"), exact) << wait;
  }
  for (const char* message :
       {"chat template: line 1: the template does too much work", "engine: out of scratch"}) {
    const HttpResponse limit = error_response(Error(ErrorCode::kResourceExhausted, message));
    EXPECT_EQ(limit.status, 400) << message;
    EXPECT_EQ(limit.headers.find("retry-after"), "") << "it would be no use";
  }
  const auto body = [](const char* where, ErrorReason reason) {
    return error_response(Error(ErrorCode::kInvalidArgument, "m", where, reason)).body;
  };
  EXPECT_THAT(body("prompt", ErrorReason::kContextTooLong),
              HasSubstr(R"("param":"prompt","code":"context_length_exceeded")"));
  EXPECT_THAT(body("max_new_tokens", ErrorReason::kNone),
              HasSubstr(R"("param":"max_tokens","code":null)"));
  EXPECT_THAT(body("", ErrorReason::kNone), HasSubstr(R"("param":null,"code":null)"));
  // No word of a message counts.
  EXPECT_THAT(error_response(Error(ErrorCode::kInvalidArgument, "prompt: too long")).body,
              HasSubstr(R"("param":null,"code":null)"));
  EXPECT_EQ(error_response(Error(ErrorCode::kUnsupported, "x")).status, 400);
  const HttpResponse no_memory = error_response(std::bad_alloc());
  EXPECT_EQ(no_memory.status, 503);
  EXPECT_NE(no_memory.headers.find("retry-after"), "");
}

TEST(ChatAnswer, TokenIdsAreShownOnlyWhereTheyAreWanted) {
  for (const bool wanted : {false, true}) {
    const ChatAnswer answer({"chatcmpl-1", 7, "a/b", "fp_1"}, writer(0), false, wanted);
    GenerationOutput output;
    output.prompt_token_ids.emplace({3, 4});
    CompletionChunk chunk;
    chunk.token_ids = {5};
    output.outputs.push_back(chunk);
    for (const std::string& text :
         {answer.text_chunk(chunk), answer.role_chunk(0, &*output.prompt_token_ids),
          answer.whole(output, {}, Receipts(1))}) {
      EXPECT_EQ(text.find("token_ids") != std::string::npos, wanted) << text;
    }
    EXPECT_EQ(answer.whole(output, {}, Receipts(1)).find("\"prompt_token_ids\":[3,4]") !=
                  std::string::npos,
              wanted);
  }
}

}  // namespace
}  // namespace openllm::server
