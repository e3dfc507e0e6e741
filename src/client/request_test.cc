// Calls that run by themselves, and their readers.

#include "client/request.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <vector>

#include "openllm/error.h"
#include "openllm/task.h"

namespace openllm::client {
namespace {

using Sink = std::function<void(const GenerationOutput&)>;

GenerationOutput delta(const std::string& text, std::vector<std::int32_t> ids,
                       bool is_end = false) {
  GenerationOutput output;
  output.prompt = "P";
  CompletionChunk chunk;
  chunk.text = chunk.delta = text;
  chunk.n_delta_tokens = ids.size();
  chunk.logprobs.emplace();
  for (const std::int32_t id : ids) chunk.logprobs->push_back({{id, -1.0F}});
  chunk.token_ids = std::move(ids);
  if (is_end) chunk.finish_reason = FinishReason::kStop;
  output.finished = is_end;
  output.outputs.push_back(std::move(chunk));
  return output;
}

/// Three parts, all there before the first is read.
std::unique_ptr<Request> three_parts(const GenerateOptions& options) {
  auto ended = std::make_shared<std::promise<void>>();
  auto request = std::make_unique<Request>(
      [ended](const std::stop_token&, const Sink& sink) {
        sink(delta("a", {1}));
        sink(delta("bc", {2, 3}));
        sink(delta("", {}, true));
        ended->set_value();
      },
      options);
  ended->get_future().wait();
  return request;
}

TEST(ClientRequest, PartsThatWaitAreMerged) {
  const auto request = three_parts({});
  const GenerationOutput* output = request->next();
  ASSERT_NE(output, nullptr);
  EXPECT_EQ(output->prompt, "P");
  EXPECT_EQ(output->outputs[0].text, "abc");
  EXPECT_EQ(output->outputs[0].delta, "abc");
  EXPECT_EQ(output->outputs[0].n_delta_tokens, 3U);
  EXPECT_EQ(output->outputs[0].token_ids, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(output->outputs[0].logprobs->size(), 3U);
  EXPECT_EQ(output->outputs[0].finish_reason, FinishReason::kStop);
  EXPECT_TRUE(output->finished);
  EXPECT_EQ(request->next(), nullptr);
  EXPECT_EQ(request->next(), nullptr);
}

TEST(ClientRequest, ChoicesMayComeLater) {
  auto ended = std::make_shared<std::promise<void>>();
  Request request(
      [ended](const std::stop_token&, const Sink& sink) {
        sink(delta("a", {1}));
        GenerationOutput more = delta("b", {2}, true);
        more.outputs.push_back(more.outputs[0]);
        more.outputs[1].index = 1;
        sink(more);
        ended->set_value();
      },
      {});
  ended->get_future().wait();
  const GenerationOutput* output = request.next();
  ASSERT_EQ(output->outputs.size(), 2U);
  EXPECT_EQ(output->outputs[0].text, "ab");
  EXPECT_EQ(output->outputs[1].text, "b");
  EXPECT_EQ(output->outputs[1].index, 1);
}

TEST(ClientRequest, MergingKeepsWhatOnlyOnePartTells) {
  auto ended = std::make_shared<std::promise<void>>();
  Request request(
      [ended](const std::stop_token&, const Sink& sink) {
        GenerationOutput first = delta("a", {1});
        first.prompt_token_ids = std::vector<std::int32_t>{8, 9};
        sink(first);
        GenerationOutput last = delta("b", {2}, true);
        last.request_id = "r";
        last.n_cached_tokens = 3;
        sink(last);
        ended->set_value();
      },
      {});
  ended->get_future().wait();
  const GenerationOutput* output = request.next();
  EXPECT_EQ(output->prompt_token_ids, (std::vector<std::int32_t>{8, 9}));
  EXPECT_EQ(output->request_id, "r");
  EXPECT_EQ(output->n_cached_tokens, 3);
}

/// Gives a part whenever it is asked to.
struct Steps {
  std::vector<std::promise<GenerationOutput>> parts =
      std::vector<std::promise<GenerationOutput>>(3);

  Request::Call call() {
    return [this](const std::stop_token&, const Sink& sink) {
      for (auto& part : parts) sink(part.get_future().get());
    };
  }
};

TEST(ClientRequest, OutputsAreOfTheKindThatWasAskedFor) {
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    Steps steps;
    Request request(steps.call(), {.output_kind = kind});
    steps.parts[0].set_value(delta("a", {1}));
    EXPECT_EQ(request.next()->outputs[0].text, "a");
    steps.parts[1].set_value(delta("b", {2}));
    const GenerationOutput* second = request.next();
    const bool is_delta = kind == OutputKind::kDelta;
    EXPECT_EQ(second->outputs[0].text, is_delta ? "b" : "ab");
    EXPECT_EQ(second->outputs[0].delta, "b");
    EXPECT_EQ(second->outputs[0].n_delta_tokens, 1U);
    EXPECT_EQ(second->outputs[0].token_ids.size(), is_delta ? 1U : 2U);
    EXPECT_EQ(second->outputs[0].logprobs->size(), is_delta ? 1U : 2U);
    steps.parts[2].set_value(delta("", {}, true));
    EXPECT_TRUE(request.next()->finished);
  }
}

TEST(ClientRequest, OnlyTheEndIsShownToThoseWhoWantNothingElse) {
  Steps steps;
  Request request(steps.call(), {.output_kind = OutputKind::kFinalOnly});
  steps.parts[0].set_value(delta("a", {1}));
  steps.parts[1].set_value(delta("b", {2}));
  steps.parts[2].set_value(delta("c", {3}, true));
  EXPECT_EQ(request.next()->outputs[0].text, "abc");
  EXPECT_EQ(request.next(), nullptr);
}

TEST(ClientRequest, AFailureIsThrownOnce) {
  Request request(
      [](const std::stop_token&, const Sink&) { throw Error(ErrorCode::kIo, "broken", "x"); }, {});
  try {
    request.next();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_EQ(error.where(), "x");
  }
  EXPECT_EQ(request.next(), nullptr);
}

/// Ends when it is asked to.
void wait_for_stop(const std::stop_token& stop, const Sink& sink) {
  std::promise<void> stopped;
  const std::stop_callback on_stop(stop, [&] { stopped.set_value(); });
  stopped.get_future().wait();
  GenerationOutput end = delta("", {}, true);
  end.outputs[0].finish_reason = FinishReason::kCancelled;
  sink(end);
}

TEST(ClientRequest, EndsByCancelByTokenAndByBeingDropped) {
  Request request(&wait_for_stop, {});
  EXPECT_FALSE(request.is_ready(detail::OutputSource::Until::kOutput));
  request.cancel();
  EXPECT_EQ(request.next()->outputs[0].finish_reason, FinishReason::kCancelled);
  std::stop_source stop;
  GenerateOptions options;
  options.stop_token = stop.get_token();
  Request other(&wait_for_stop, options);
  stop.request_stop();
  EXPECT_EQ(other.next()->outputs[0].finish_reason, FinishReason::kCancelled);
  const Request dropped(&wait_for_stop, {});  // the test ends if it does
}

Task<std::string> read_all(AsyncGenerationStream stream) {
  std::string text;
  co_await stream.accepted();
  while (const GenerationOutput* output = co_await stream.next()) text += output->outputs[0].delta;
  co_return text;
}

TEST(ClientRequest, CoroutinesGoOnWhereTheyAreTold) {
  for (const bool has_executor : {false, true}) {
    Steps steps;
    std::atomic<int> n_resumed{0};
    GenerateOptions options;
    if (has_executor) {
      options.executor = [&](const std::function<void()>& task) {
        ++n_resumed;
        task();
      };
    }
    auto task = read_all(AsyncGenerationStream(std::make_shared<Request>(steps.call(), options)));
    auto text = std::async(std::launch::async, [&] { return task.get(); });
    steps.parts[0].set_value(delta("a", {1}));
    steps.parts[1].set_value(delta("b", {2}));
    steps.parts[2].set_value(delta("c", {3}, true));
    EXPECT_EQ(text.get(), "abc");
    EXPECT_TRUE(has_executor || n_resumed == 0);
  }
}

TEST(ClientRequest, RefusalsComeOutOfAccepted) {
  auto task = read_all(AsyncGenerationStream(std::make_shared<Request>(
      [](const std::stop_token&, const Sink&) { throw Error(ErrorCode::kBusy, "full"); },
      GenerateOptions{})));
  EXPECT_THROW((void)task.get(), Error);
}

TEST(ClientRequest, OneCoroutineWaits) {
  Steps steps;
  Request request(steps.call(), {});
  using Until = detail::OutputSource::Until;
  EXPECT_TRUE(request.suspend(std::noop_coroutine(), Until::kOutput));
  EXPECT_THROW(request.suspend(std::noop_coroutine(), Until::kOutput), Error);
  for (auto& part : steps.parts) part.set_value(delta("", {}, true));
}

using Until = detail::OutputSource::Until;

TEST(ClientRequest, NewsIsNoEndForThoseWhoWantNothingElse) {
  Steps steps;
  std::promise<void> taken;
  Request request(
      [&](const std::stop_token&, const Sink& sink) {
        sink(steps.parts[0].get_future().get());
        taken.set_value();
        sink(steps.parts[1].get_future().get());
      },
      {.output_kind = OutputKind::kFinalOnly});
  steps.parts[0].set_value(delta("a", {1}));
  taken.get_future().wait();
  EXPECT_FALSE(request.is_ready(Until::kOutput));
  EXPECT_TRUE(request.is_ready(Until::kAccepted)) << "a server has begun to answer";
  EXPECT_FALSE(request.suspend(std::noop_coroutine(), Until::kAccepted)) << "nothing to wait for";
  EXPECT_TRUE(request.suspend(std::noop_coroutine(), Until::kOutput));
  steps.parts[1].set_value(delta("b", {2}, true));
  EXPECT_EQ(request.next()->outputs[0].text, "ab");
}

/// Ends at once when it is resumed.
struct Flag {
  struct promise_type {
    Flag get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
  std::coroutine_handle<promise_type> handle;
};
Flag set_when_resumed(std::promise<void>& promise) {
  promise.set_value();
  co_return;
}

TEST(ClientRequest, WhoWaitsForAcceptanceGoesOnWithTheFirstNews) {
  Steps steps;
  std::promise<void> resumed;
  const Flag flag = set_when_resumed(resumed);
  {
    Request request(steps.call(), {.output_kind = OutputKind::kFinalOnly});
    EXPECT_TRUE(request.suspend(flag.handle, Until::kAccepted));
    steps.parts[0].set_value(delta("a", {1}));
    EXPECT_EQ(resumed.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
    for (int i : {1, 2}) steps.parts.at(static_cast<std::size_t>(i)).set_value(delta("", {}, true));
  }
  flag.handle.destroy();
}

TEST(ClientRequest, AFailureAfterTheFirstNewsIsNoRefusal) {
  std::promise<void> failing;
  Request request(
      [&](const std::stop_token&, const Sink& sink) {
        sink(delta("a", {1}));
        failing.set_value();
        throw Error(ErrorCode::kIo, "broken");
      },
      {.output_kind = OutputKind::kFinalOnly});
  failing.get_future().wait();
  while (!request.is_ready(Until::kOutput)) {  // until it has ended
  }
  EXPECT_NO_THROW(request.require_accepted()) << "it was";
  EXPECT_THROW(request.next(), Error);
}

TEST(ClientRequest, WhatOnlyTheFirstPartTellsStays) {
  for (const OutputKind kind : {OutputKind::kCumulative, OutputKind::kDelta}) {
    GenerationOutput sum;
    GenerationOutput first = delta("a", {1});
    first.prompt_token_ids = std::vector<std::int32_t>{8, 9};
    first.outputs[0].cumulative_logprob = -1.0;
    first.outputs[0].finish_reason = FinishReason::kLength;
    append_delta(sum, first, kind);
    GenerationOutput second = delta("b", {2});
    second.outputs[0].cumulative_logprob = -3.0;
    append_delta(sum, second, kind);
    EXPECT_EQ(sum.prompt_token_ids, (std::vector<std::int32_t>{8, 9}));
    EXPECT_EQ(sum.outputs[0].cumulative_logprob, -3.0) << "counts from the beginning";
    EXPECT_EQ(sum.outputs[0].text, kind == OutputKind::kDelta ? "b" : "ab");
    EXPECT_EQ(sum.outputs[0].delta, "b");
    EXPECT_EQ(sum.outputs[0].finish_reason, FinishReason::kLength);
  }
}

}  // namespace
}  // namespace openllm::client
