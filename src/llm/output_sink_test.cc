#include "llm/output_sink.h"

#include <gtest/gtest.h>

#include "base/failing_new.h"

namespace openllm::llm {
namespace {

constexpr std::size_t kVocab = 3;

/// Tells the sink of a request with logprobs and logits of one event of each kind, while allocation
/// number `n` fails. True when there were that many.
bool tell(OutputSink& sink, long n) {
  std::vector<engine::TokenEvent> events(2);
  for (engine::TokenEvent& event : events) event.top.resize(2);
  engine::TokenEvent token{2, -0.5F, {}};
  const std::vector<float> logits(2 * kVocab, 1.0F);
  const base::FailingNew failing(n);
  sink.on_prompt_logprobs(1, std::move(events));
  sink.on_prompt_logits(0, 2, logits.data());
  sink.on_token(0, std::move(token));
  sink.on_end(0, FinishReason::kLength, 0, {});
  return failing.has_failed();
}

TEST(OutputSink, ALackOfMemoryEndsTheRequestAndIsTold) {
  int n_errors = 0;
  for (long n = 0;; ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    const auto mailbox =
        std::make_shared<Mailbox>(1, false, [](const std::function<void()>&) { FAIL(); });
    const auto sink =
        std::make_shared<OutputSink>("r", 1, mailbox, std::make_shared<base::Worker>());
    TextRules rules;
    rules.vocab_size = kVocab;
    sink->configure(std::move(rules), nullptr, {});
    const bool failed = tell(*sink, n);

    Update all;
    while (!all.error && !all.finished) {
      Update update = mailbox->wait();
      all.error = std::move(update.error);
      all.finished = update.finished;
      const std::vector<std::int32_t>& ids = update.choices.at(0).token_ids;
      for (const std::int32_t id : ids) EXPECT_EQ(id, 2);
    }
    if (all.error) {
      EXPECT_EQ(all.error->code(), ErrorCode::kResourceExhausted);
      EXPECT_STREQ(all.error->what(), "out of memory");
      EXPECT_TRUE(sink->is_cancelled());
      ++n_errors;
    }
    EXPECT_EQ(failed, all.error.has_value());
    if (!failed || HasFailure()) break;
  }
  EXPECT_GT(n_errors, 5);
}

TEST(OutputSink, AnErrorKeepsItsCode) {
  const auto mailbox =
      std::make_shared<Mailbox>(1, false, [](const std::function<void()>&) { FAIL(); });
  const auto sink = std::make_shared<OutputSink>("r", 1, mailbox, std::make_shared<base::Worker>());
  sink->configure({}, nullptr, {});
  sink->on_end(0, FinishReason::kError, 0, {ErrorCode::kIo, "device: went away"});
  const Update update = mailbox->wait();
  ASSERT_TRUE(update.error);
  EXPECT_EQ(update.error->code(), ErrorCode::kIo);
  EXPECT_STREQ(update.error->what(), "device: went away");
}

}  // namespace
}  // namespace openllm::llm
