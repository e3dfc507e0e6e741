// What a reader makes of the updates that arrive, told by hand.

#include "llm/request_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "llm/engine_request.h"
#include "llm/instance.h"

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";

class RequestReaderTest : public testing::Test {
 protected:
  void start(const GenerateOptions& options) {
    reader_.reset();
    const LLMConfig merged = merge_request(instance_->model().config(), options);
    mailbox_ = std::make_shared<Mailbox>(
        n_choices(merged), options.output_kind == OutputKind::kFinalOnly,
        [](const std::function<void()>&) { FAIL() << "no coroutine waits"; });
    sink_ = std::make_shared<OutputSink>("name#1", n_choices(merged), mailbox_,
                                         instance_->runtime().output());
    reader_ = std::make_unique<RequestReader>(instance_, mailbox_, sink_, options, merged, "name");
  }
  /// The output that an update gives.
  GenerationOutput after(base::FunctionRef<void(Update&)> change) {
    mailbox_->post(change);
    return *reader_->next();
  }
  static void add(ChoiceUpdate& choice, const std::string& text, std::int32_t id) {
    chat::append_segment(choice.segments, chat::SegmentKind::kContent, text);
    choice.token_ids.push_back(id);
    choice.logprobs.push_back({{id, -0.5F}});
    choice.logprob_sum += -0.5;
  }

  std::shared_ptr<Instance> instance_ = std::make_shared<Instance>(kModel, LoadOptions{});
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<OutputSink> sink_;
  std::unique_ptr<RequestReader> reader_;
};

TEST_F(RequestReaderTest, EachKindOfOutputShowsItsPart) {
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    start({.logprobs = 1, .output_kind = kind});
    GenerationOutput output = after([](Update& update) { add(update.choices[0], "a", 5); });
    EXPECT_EQ(output.outputs[0].text, "a");
    output = after([](Update& update) {
      add(update.choices[0], "b", 6);
      add(update.choices[0], "c", 7);
    });
    const CompletionChunk& chunk = output.outputs[0];
    const bool is_delta = kind == OutputKind::kDelta;
    EXPECT_EQ(chunk.delta, "bc");
    EXPECT_EQ(chunk.text, is_delta ? "bc" : "abc");
    EXPECT_EQ(chunk.n_delta_tokens, 2U);
    EXPECT_THAT(chunk.token_ids, SizeIs(is_delta ? 2 : 3));
    EXPECT_THAT(*chunk.logprobs, SizeIs(is_delta ? 2 : 3));
    EXPECT_DOUBLE_EQ(chunk.cumulative_logprob, -1.5) << "counts from the beginning in every kind";
    EXPECT_EQ(output.usage.n_completion_tokens, 3);
  }
}

TEST_F(RequestReaderTest, LogprobsComeOnlyWhenAskedFor) {
  start({});
  const GenerationOutput output = after([](Update& update) {
    update.prompt = PreparedPrompt{"x", {1}};
    add(update.choices[0], "a", 5);
  });
  EXPECT_FALSE(output.outputs[0].logprobs.has_value());
  EXPECT_FALSE(output.prompt_logprobs.has_value());
}

TEST_F(RequestReaderTest, PromptLogprobsHaveOneEntryForEachToken) {
  for (const std::size_t n : {1U, 2U, 3U}) {
    start({.prompt_logprobs = 1});
    const GenerationOutput output = after([n](Update& update) {
      update.prompt = PreparedPrompt{"", std::vector<std::int32_t>(n, 4)};
      if (n > 1) update.prompt_logprobs.emplace_back();  // as the sink does
      for (std::size_t i = 1; i < n; ++i) update.prompt_logprobs.push_back({{4, -1.0F}});
    });
    EXPECT_THAT(*output.prompt_logprobs, SizeIs(n));
    EXPECT_THAT(output.prompt_logprobs->front(), SizeIs(0));
    EXPECT_THAT(output.prompt_logprobs->back(), SizeIs(n > 1 ? 1 : 0));
    EXPECT_EQ(output.usage.n_prompt_tokens, static_cast<std::int64_t>(n));
  }
}

TEST_F(RequestReaderTest, AChoiceKeepsItsEndWhileOthersGoOn) {
  start({.n = 2});
  after([](Update& update) {
    add(update.choices[0], "a", 5);
    update.choices[0].finish_reason = FinishReason::kLength;
    update.n_cached_tokens = 3;
  });
  GenerationOutput output = after([](Update& update) {
    add(update.choices[1], "b", 6);
    update.n_cached_tokens = 2;
  });
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(output.outputs[0].delta, "");
  EXPECT_EQ(output.outputs[0].n_delta_tokens, 0U);
  EXPECT_FALSE(output.outputs[1].finish_reason.has_value());
  EXPECT_FALSE(output.finished);
  EXPECT_EQ(output.n_cached_tokens, 3) << "of the prompt, which the choices share";
  EXPECT_EQ(output.usage.n_cached_tokens, 3);
  output = after([](Update& update) {
    update.choices[1].finish_reason = FinishReason::kStop;
    update.finished = true;
  });
  EXPECT_TRUE(output.finished);
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(output.outputs[1].finish_reason, FinishReason::kStop);
  EXPECT_EQ(reader_->next(), nullptr);
  reader_.reset();
  EXPECT_FALSE(sink_->is_cancelled()) << "it has ended by itself";
}

TEST_F(RequestReaderTest, AFailureIsThrownOnceAndIsTheEnd) {
  start({});
  mailbox_->post([](Update& update) { update.error.emplace(ErrorCode::kIo, "gone"); });
  EXPECT_THROW(reader_->next(), Error);
  EXPECT_TRUE(reader_->is_ready(RequestReader::Until::kOutput));
  EXPECT_EQ(reader_->next(), nullptr);
}

TEST_F(RequestReaderTest, WhoWaitsForOneThatIsDroppedIsNotWoken) {
  start({});
  EXPECT_TRUE(reader_->suspend(std::noop_coroutine(), RequestReader::Until::kOutput));
  reader_.reset();  // and the coroutine with it
  mailbox_->post([](Update& update) { update.finished = true; });
}

TEST_F(RequestReaderTest, OneThatIsDroppedCancelsWhatRuns) {
  start({});
  after([](Update& update) { add(update.choices[0], "a", 5); });
  reader_.reset();
  EXPECT_TRUE(sink_->is_cancelled());
}

}  // namespace
}  // namespace openllm::llm
