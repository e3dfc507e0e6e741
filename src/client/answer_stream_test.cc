#include "client/answer_stream.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "client/native_wire.h"
#include "client/output_parts.h"
#include "client/wire.h"

namespace openllm::client {
namespace {

/// One that is never called.
class ReadingApi final : public Api {
 public:
  explicit ReadingApi(bool is_native)
      : Api(Caller({.address = "127.0.0.1:1"})), is_native_(is_native) {}
  Question question(const Prompt& /*prompt*/, const GenerateOptions& /*options*/,
                    bool /*stream*/) const override {
    return {};
  }
  void merge(GenerationOutput& output, const base::Json& answer, OutputKind kind) const override {
    (is_native_ ? merge_native : merge_answer)(output, answer, kind);
  }
  bool may_end_without_reason() const noexcept override { return !is_native_; }

 private:
  bool is_native_;
};

/// What a stream of these bytes, in pieces of at most `most` bytes, gives.
GenerationOutput read(const Api& api, const std::string& bytes, std::mt19937& random,
                      std::size_t most) {
  const AnswerStream::OnOutput nobody;
  AnswerStream stream(api, empty_output("P", {}), {}, nobody);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::uniform_int_distribution<std::size_t>(1, most)(random);
    EXPECT_TRUE(stream.feed(std::string_view(bytes).substr(at, size)));
    at += size;
  }
  EXPECT_TRUE(stream.is_whole());
  return stream.take();
}

TEST(NotInherited, N35AnswersDoNotDependOnTheBordersOfPieces) {
  std::mt19937 random(829);
  for (const bool is_native : {true, false}) {
    const ReadingApi api(is_native);
    const std::string begin = is_native ? R"({"finished":false,"outputs":[{"index":0,"text":")"
                                        : R"({"choices":[{"index":0,"text":")";
    std::string bytes;
    std::string text;
    for (int i = 0; i < 50; ++i) {
      const std::string word = "w" + std::to_string(i) + " \xC3\xA9 ";
      text += word;
      bytes += "data: " + begin + word + R"(","token_ids":[)" + std::to_string(i) + "]}]}\n\n";
      if (i % 7 == 0) bytes += ": keep-alive\n\n";
    }
    bytes += is_native ? R"(data: {"finished":true,"outputs":[{"finish_reason":"length"}]})"
                       : R"(data: {"choices":[{"finish_reason":"length"}]})";
    bytes += "\n\ndata: [DONE]\n\n";
    for (int round = 0; round < 100; ++round) {
      // Small pieces split events, and large ones glue them together.
      const GenerationOutput output =
          read(api, bytes, random, std::size_t{1} << (static_cast<unsigned>(round) % 13U));
      ASSERT_EQ(output.outputs[0].text, text) << round;
      ASSERT_EQ(output.outputs[0].token_ids.size(), 50U);
      ASSERT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
    }
  }
}

/// Code of the error that a stream of these bytes is; kNone is none.
std::string failure(const std::string& bytes, bool is_native = true) {
  const ReadingApi api(is_native);
  const AnswerStream::OnOutput nobody;
  AnswerStream stream(api, empty_output("P", {}), {}, nobody);
  try {
    stream.feed(bytes);
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + ": " + error.what();
  }
  return stream.is_whole() ? "whole" : "not whole";
}

TEST(AnswerStream, AnErrorWithinKeepsItsCode) {
  const std::string event = "data: {\"finished\":false,\"outputs\":[{\"text\":\"a\"}]}\n\n";
  EXPECT_EQ(failure(event + "data: {\"error\":{\"message\":\"m\",\"code\":\"unavailable\"}}\n\n"),
            "unavailable: m");
  EXPECT_EQ(failure(event + "event: error\ndata: {\"message\":\"m\",\"code\":429}\n\n"), "busy: m")
      << "as servers tell it that name their events";
  EXPECT_EQ(failure("event: error\ndata: gone\n\n"), "internal: server: error: gone");
  const auto typed = [&](const std::string& type) {
    return failure(event + R"(data: {"error":{"message":"m","type":")" + type +
                   R"(","param":null,"code":null}})" + "\n\n");
  };
  EXPECT_EQ(typed("invalid_request_error"), "invalid_argument: m");
  EXPECT_EQ(typed("rate_limit_error"), "busy: m");
  EXPECT_EQ(typed("server_error"), "internal: m");
}

TEST(AnswerStream, OnlyItsLastEventMakesItWhole) {
  const std::string part = "data: {\"finished\":false,\"outputs\":[{\"text\":\"a\"}]}\n\n";
  const std::string end = "data: {\"finished\":true,\"outputs\":[]}\n\n";
  const std::string done = "data: [DONE]\n\n";
  EXPECT_EQ(failure(part + end + done), "whole");
  EXPECT_EQ(failure(part + end), "whole");
  EXPECT_EQ(failure(part + done), "not whole");
  EXPECT_EQ(failure(part), "not whole");
  EXPECT_EQ(failure(""), "not whole");
  EXPECT_EQ(failure(part + "data: {\"finished\":true,\"outputs\":[]}\n"), "not whole")
      << "an event that was cut off";
  EXPECT_EQ(failure("data: {\"choices\":[{\"text\":\"a\"}]}\n\n" + done, false), "whole")
      << "some servers of OpenAI's API give no reason";
}

std::string choice(int index, const std::string& text, const std::string& end = "") {
  const std::string reason = end.empty() ? "" : R"(,"finish_reason":")" + end + '"';
  return R"(data: {"choices":[{"index":)" + std::to_string(index) + R"(,"text":")" + text + '"' +
         reason + "}]}\n\n";
}

TEST(AnswerStream, ChoicesThatTheServerAddsArrive) {
  const ReadingApi api(false);
  // The first choice is over before anything is heard of the second one.
  const std::string bytes = choice(0, "a") + choice(0, "b", "stop") + choice(1, "c") +
                            choice(1, "d", "length") + "data: [DONE]\n\n";
  std::vector<std::string> told;
  const AnswerStream::OnOutput tell = [&](const GenerationOutput& output) {
    std::string text;
    for (const CompletionChunk& chunk : output.outputs) text += chunk.delta + '|';
    told.push_back(text + (output.finished ? "end" : ""));
    return true;
  };
  AnswerStream stream(api, empty_output("P", {}), {.output_kind = OutputKind::kDelta}, tell);
  EXPECT_TRUE(stream.feed(bytes));
  EXPECT_TRUE(stream.is_whole());
  EXPECT_THAT(told, testing::ElementsAre("a|", "b|", "|c|", "|d|end"));
  const GenerationOutput output = stream.take();
  ASSERT_EQ(output.outputs.size(), 2U);
  EXPECT_EQ(output.outputs[1].index, 1);
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kStop);
  EXPECT_EQ(output.outputs[1].finish_reason, FinishReason::kLength);
}

TEST(AnswerStream, MoreChoicesThanAskedForAreTheServersFault) {
  const ReadingApi api(false);
  const AnswerStream::OnOutput nobody;
  AnswerStream one(api, empty_output("P", {}), {.n = 1}, nobody);
  EXPECT_THROW(one.feed(choice(1, "a")), Error);
  AnswerStream open(api, empty_output("P", {}), {}, nobody);
  EXPECT_TRUE(open.feed(choice(127, "a")));
  EXPECT_THROW(open.feed(choice(128, "a")), Error) << "more than any request can ask for";
  EXPECT_THROW(open.feed(choice(-1, "a")), Error);
}

}  // namespace
}  // namespace openllm::client
