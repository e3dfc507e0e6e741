// Routes and dialects without sockets and without the built-in endpoints.

#include "server/routes.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "server/generation.h"

namespace openllm::server {
namespace {

using ::testing::HasSubstr;

Task<void> say(Call& call, std::string text) {
  HttpResponse response;
  response.body = std::move(text);
  call.exchange.respond(std::move(response));
  co_return;
}

Endpoint saying(const std::string& text) {
  return [text](Call& call) { return say(call, text); };
}

ErrorCode refusal(RouteTable& table, Route route) {
  try {
    table.add(std::move(route));
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(RouteTable, TheClosestRouteAnswers) {
  RouteTable table;
  table.add({"GET", "/a/", saying("below")});
  table.add({"GET", "/a/b", saying("exact")});
  table.add({"GET", "/a/b/", saying("below b")});
  table.add({"POST", "/a/b", saying("post")});
  table.add({"GET", "/", saying("root")});
  const auto path_of = [&](const std::string& method, const std::string& path) {
    const Route* route = table.find(method, path).route;
    return route == nullptr ? std::string() : route->method + " " + route->path;
  };
  EXPECT_EQ(path_of("GET", "/a/b"), "GET /a/b");
  EXPECT_EQ(path_of("HEAD", "/a/b"), "GET /a/b");
  EXPECT_EQ(path_of("POST", "/a/b"), "POST /a/b");
  EXPECT_EQ(path_of("GET", "/a/c"), "GET /a/");
  EXPECT_EQ(path_of("GET", "/a/b/c/d"), "GET /a/b/");
  EXPECT_EQ(path_of("GET", "/a"), "");
  EXPECT_EQ(path_of("GET", "/"), "GET /");
  EXPECT_EQ(path_of("GET", "/b"), "") << "the root is no prefix";
  EXPECT_EQ(path_of("PUT", "/a/b"), "");
  EXPECT_NE(table.find("PUT", "/a/b").any, nullptr);
  EXPECT_EQ(table.allowed_methods("/a/b"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(table.allowed_methods("/nowhere"), "");
}

TEST(RouteTable, ARouteWithoutAKeyOpensNoOther) {
  RouteTable table;
  table.add({"GET", "/a/", saying(""), false});
  table.add({"POST", "/a/b", saying("")});
  EXPECT_FALSE(table.needs_key("GET", "/a/c"));
  EXPECT_FALSE(table.needs_key("OPTIONS", "/a/c"));
  EXPECT_TRUE(table.needs_key("POST", "/a/b"));
  EXPECT_TRUE(table.needs_key("PUT", "/a/b"));
  EXPECT_TRUE(table.needs_key("GET", "/nowhere"));
}

TEST(RouteTable, RoutesThatNobodyCouldReachAreRefused) {
  RouteTable table;
  table.add({"GET", "/a", saying("")});
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"GET", "/a"},
                                                        {"GET", ""},
                                                        {"GET", "a"},
                                                        {"GET", "/a?b"},
                                                        {"", "/b"},
                                                        {"get", "/b"},
                                                        {"OPTIONS", "/b"},
                                                        {"HEAD", "/b"}}) {
    EXPECT_EQ(refusal(table, {method, path, saying("")}), ErrorCode::kInvalidArgument)
        << method << " " << path;
  }
  EXPECT_EQ(refusal(table, {"GET", "/b", {}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(table, {"GET", "/b", saying(""), true, nullptr}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(table, {"POST", "/a", saying("")}), ErrorCode::kInternal) << "it is added";
}

/// A dialect with errors and ends of its own.
std::string plain_error(const ErrorReport& error) {
  return std::to_string(error.status) + " " + error.param + " " + error.message;
}
constexpr Dialect kPlain{&plain_error, "failure", "end", "over"};

/// Calls routes of an App with the small stories model, on one thread.
class Dispatch : public ::testing::Test {
 protected:
  Dispatch()
      : app_({ServedModel{LLM(OPENLLM_TEST_DATA "/stories260K/hf", {.n_threads = 1})}},
             {.api_keys = {"secret"}}, built_in_routes()) {
    // Weak: a task that never runs may keep what keeps the executor.
    app_.executor = [weak = std::weak_ptr(tasks_)](std::function<void()> task) {
      if (const std::shared_ptr<Tasks> tasks = weak.lock()) tasks->post(std::move(task));
    };
    app_.models().load();
  }

  /// Events of a stream, or the body of an answer after its status.
  std::string ask(const std::string& method, const std::string& path, const std::string& body = "",
                  const std::string& key = "Bearer secret") {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.headers.add("Authorization", key);
    const auto exchange = std::make_shared<Exchange>(std::move(request), [] {});
    dispatch(app_, exchange);
    std::string events;
    while (!exchange->is_finished() || exchange->has_output()) {
      events += exchange->take_output();
      exchange->resume_waiters();
      if (!exchange->is_finished()) tasks_->run_one();
    }
    if (!exchange->response()) return events;
    return std::to_string(exchange->response()->status) + " " + exchange->response()->body;
  }

  /// Tasks of other threads that have to run on this one.
  class Tasks {
   public:
    void post(std::function<void()> task) {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(task));
      wake_.notify_one();
    }
    /// Runs what is there.
    void run_pending() {
      std::deque<std::function<void()>> pending;
      {
        const std::lock_guard lock(mutex_);
        pending.swap(queue_);
      }
      for (const std::function<void()>& task : pending) task();
    }
    void run_one() {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !queue_.empty(); });
      const std::function<void()> task = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      task();
    }

   private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> queue_;
  };

  std::shared_ptr<Tasks> tasks_ = std::make_shared<Tasks>();
  App app_;
};

TEST_F(Dispatch, ARouteThatWasAddedIsAnsweredAsTheBuiltInOnes) {
  int n_calls = 0;
  app_.routes().add({"POST", "/v1/echo",
                     [&n_calls](Call& call) {
                       ++n_calls;
                       return say(call, call.exchange.request().body);
                     },
                     true, &kPlain});
  EXPECT_EQ(ask("POST", "/v1/echo", "a"), "200 a");
  EXPECT_EQ(ask("POST", "/v1/echo/", "b"), "200 b");
  EXPECT_EQ(n_calls, 2);
  EXPECT_THAT(ask("POST", "/echo"), HasSubstr("did you mean /v1/echo?"));
  EXPECT_EQ(ask("OPTIONS", "/v1/echo"), "204 ");
}

TEST_F(Dispatch, ErrorsAreWrittenInTheDialectOfTheRoute) {
  app_.routes().add(
      {"POST", "/plain",
       [](Call&) -> Task<void> { throw Error(ErrorCode::kInvalidArgument, "broken", "field"); },
       true, &kPlain});
  EXPECT_EQ(ask("POST", "/plain"), "400 400 field broken");
  EXPECT_THAT(ask("GET", "/plain"), HasSubstr("405 405  method: GET is not allowed here"));
  EXPECT_THAT(ask("POST", "/plain", "", "Bearer wrong"), HasSubstr("401 401  Authorization:"));
  EXPECT_THAT(ask("GET", "/nowhere"), HasSubstr(R"(404 {"error":{"message":"path: no such route)"));
}

TEST_F(Dispatch, WhateverAnEndpointThrowsIsAnswered) {
  app_.routes().add({"GET", "/int", [](Call&) -> Task<void> { throw 5; }});
  app_.routes().add({"GET", "/nothing", [](Call&) -> Task<void> { co_return; }});
  EXPECT_THAT(ask("GET", "/int"), HasSubstr("500 {\"error\""));
  EXPECT_THAT(ask("GET", "/nothing"), HasSubstr("the endpoint gave no answer"));
}

/// Sends the text of each output as an event; fails after so many.
class TextWriter final : public AnswerWriter {
 public:
  TextWriter(Exchange& exchange, int most) : exchange_(exchange), most_(most) {}
  void begin() override { exchange_.send_event("start"); }
  void on_output(std::size_t, const GenerationOutput& output, bool) override {
    if (--most_ < 0) base::fail(ErrorCode::kInternal, "enough");
    text_ += output.outputs[0].delta;
  }
  void finish(const Usage& usage) override {
    exchange_.send_event(text_);
    exchange_.send_event(std::to_string(usage.n_prompt) + "+" + std::to_string(usage.n_completion));
  }

 private:
  Exchange& exchange_;
  int most_;
  std::string text_;
};

Task<void> tell(Call& call, int most) {
  const ModelSet::Selection model = call.app.models().require("");
  TextWriter writer(call.exchange, most);
  GenerationJob job{*model.entry, {}, {.max_new_tokens = 8, .temperature = 0.0F}, true};
  job.prompts.emplace_back(call.exchange.request().body);
  Task<void> serving = serve_generation(call, std::move(job), writer);
  co_await std::move(serving);
}

TEST_F(Dispatch, StreamsEndInTheDialectOfTheRoute) {
  app_.routes().add({"POST", "/tell", [](Call& call) { return tell(call, 1000); }, true, &kPlain});
  EXPECT_EQ(ask("POST", "/tell", "Once upon a time"),
            "data: start\n\ndata: , there was a little girl\n\ndata: 5+8\n\nevent: end\ndata: "
            "over\n\n");
}

/// Sends much for each output.
class FloodingWriter final : public AnswerWriter {
 public:
  FloodingWriter(Exchange& exchange, int& n_events) : exchange_(exchange), n_events_(n_events) {}
  void on_output(std::size_t, const GenerationOutput&, bool) override {
    exchange_.send_event(std::string(8192, 'x'));
    ++n_events_;
  }
  void finish(const Usage&) override {}

 private:
  Exchange& exchange_;
  int& n_events_;
};

Task<void> flood(Call& call, int& n_events) {
  const ModelSet::Selection model = call.app.models().require("");
  FloodingWriter writer(call.exchange, n_events);
  GenerationJob job{*model.entry, {}, {.max_new_tokens = 400, .ignore_eos = true}, true};
  job.prompts.emplace_back("Once");
  Task<void> serving = serve_generation(call, std::move(job), writer);
  co_await std::move(serving);
}

TEST_F(Dispatch, AnswersWaitForClientsThatDoNotRead) {
  int n_events = 0;
  app_.routes().add({"POST", "/flood", [&](Call& call) { return flood(call, n_events); }, false});
  HttpRequest request;
  request.method = "POST";
  request.path = "/flood";
  const auto exchange = std::make_shared<Exchange>(std::move(request), [] {});
  dispatch(app_, exchange);
  const LLM& llm = app_.models().entries().front()->llm();
  while (llm.stats().n_finished == 0) tasks_->run_pending();
  EXPECT_LE(n_events, 3) << "nobody took the first ones";
  while (!exchange->is_finished() || exchange->has_output()) {
    exchange->take_output();
    exchange->resume_waiters();
    if (!exchange->is_finished()) tasks_->run_one();
  }
  EXPECT_GE(n_events, 3);
}

TEST_F(Dispatch, StreamsFailInTheDialectOfTheRoute) {
  app_.routes().add({"POST", "/tell", [](Call& call) { return tell(call, 0); }, true, &kPlain});
  EXPECT_EQ(ask("POST", "/tell", "Once upon a time"),
            "data: start\n\nevent: failure\ndata: 500  enough\n\n");
  EXPECT_THAT(ask("POST", "/tell", std::string(10'000, 'x')), HasSubstr("400 400 prompt prompt"));
}

}  // namespace
}  // namespace openllm::server
