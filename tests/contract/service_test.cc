// Services: endpoints of a program beside the built-in routes, over real sockets.
#include "openllm/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

struct Question {
  std::string question;
  int n_words = 8;
};
OPENLLM_FIELDS(Question, question, maybe(n_words))

struct Reply {
  std::string answer;
  std::int64_t n_tokens = 0;
};
OPENLLM_FIELDS(Reply, answer, n_tokens)

struct Conversation {
  std::vector<Message> messages;
};
OPENLLM_FIELDS(Conversation, messages)

GenerateOptions greedy(int n_tokens) {
  GenerateOptions options;
  options.temperature = 0.0F;
  options.max_new_tokens = n_tokens;
  return options;
}

class ServiceTest : public ::testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    options.port = 0;
    service_.start(options);
    service_.wait_until_ready();
  }
  Answer ask(const std::string& request) const { return call(service_.port(), request); }
  std::string greedy_text(const std::string& prompt, int n_tokens) const {
    return llm_.generate(prompt, greedy(n_tokens)).outputs[0].text;
  }

  LLM llm_ = make_llm();
  Service service_{"chat", {llm_.runner()}};
};

std::string plain_twice(const std::string& text) { return text + text; }

TEST_F(ServiceTest, FunctionsTakeAndGiveTexts) {
  service_.api("/twice", plain_twice);
  service_.api("/hello", [] { return std::string("hello\n"); }, {.method = "GET"});
  service_.api("/nothing", [](std::string) {});
  start();
  const Answer twice = ask(post("/twice", "a\"b", "Content-Type: text/plain\r\n"));
  EXPECT_EQ(twice.status, 200);
  EXPECT_EQ(twice.body, "a\"ba\"b");
  EXPECT_EQ(twice.headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(ask(get("/hello")).body, "hello\n");
  EXPECT_EQ(ask(post("/nothing", "x")).status, 204);
}

TEST_F(ServiceTest, StructsAreReadAndWritten) {
  service_.api("/chat", [this](const Question& question) {
    const GenerationOutput output = llm_.generate(question.question, greedy(question.n_words));
    return Reply{output.outputs[0].text, output.usage.n_completion_tokens};
  });
  start();
  const base::Json reply = whole_of(ask(post("/chat", R"({"question":"Once","n_words":5})")));
  EXPECT_EQ(*reply.find("answer")->if_string(), greedy_text("Once", 5));
  EXPECT_EQ(*reply.find("n_tokens")->if_int(), 5);
}

TEST_F(ServiceTest, WrongBodiesAre400AndNameTheMember) {
  service_.api("/chat", [](const Question& question) { return question.question; });
  start();
  const auto message = [&](const std::string& body) {
    const Answer answer = ask(post("/chat", body));
    EXPECT_EQ(answer.status, 400) << body;
    return *answer.json().find("error")->find("message")->if_string();
  };
  EXPECT_EQ(message("{}"), "question: missing");
  EXPECT_EQ(message(R"({"question":"","words":1})"), "words: unknown field");
  EXPECT_EQ(message(R"({"question":["x"]})"), "question: wrong type (expected string, got array)");
  EXPECT_THAT(message("{"), HasSubstr("body: invalid JSON"));
  const Answer missing = ask(post("/chat", "{}"));
  EXPECT_EQ(*missing.json().find("error")->find("param")->if_string(), "question");
  EXPECT_EQ(ask(get("/chat")).status, 405);
}

TEST_F(ServiceTest, CoroutinesAwaitTheModelAndKeepWhatTheyCapture) {
  // The lambda and its capture are gone when the calls come.
  {
    const std::string ending = std::string(40, '!');
    service_.api("/chat", [llm = llm_, ending](Question question, Context& context) -> Task<Reply> {
      const GenerateOptions options = context.options(greedy(question.n_words));
      GenerationOutput output = co_await llm.async_generate(question.question, options);
      Reply reply;
      reply.answer = output.outputs[0].text + ending;
      reply.n_tokens = output.usage.n_completion_tokens;
      co_return reply;
    });
  }
  start();
  const std::string expected = greedy_text("Once", 8) + std::string(40, '!');
  std::vector<std::thread> threads;
  std::atomic<int> n_right{0};
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      const Answer answer = ask(post("/chat", R"({"question":"Once"})"));
      if (answer.status == 200 && *answer.json().find("answer")->if_string() == expected) ++n_right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_right, 20);
}

TEST_F(ServiceTest, OptionsOfTheContextMayBeMadeWhereTheyAreAwaited) {
  // g++ 12 makes byte copies of what is in braces there; long texts show who owns them.
  const std::string long_name(100, 'r');
  service_.api("/plain", [this](const std::string& prompt, Context& context) -> Task<std::string> {
    GenerationOutput output = co_await llm_.async_generate(prompt, context.options());
    std::string id = output.request_id;
    co_return id;
  });
  service_.api("/braces",
               [this, long_name](std::string prompt, Context& context) -> Task<std::string> {
                 GenerationOutput output = co_await llm_.async_generate(
                     prompt, context.options({.max_new_tokens = 4, .request_id = long_name}));
                 std::string id = output.request_id;
                 co_return id;
               });
  start({.api_keys = {std::string(60, 'k')}});
  const std::string head = "X-Request-Id: mine\r\nX-Api-Key: " + std::string(60, 'k') + "\r\n";
  EXPECT_EQ(ask(post("/plain", "Once", head)).body, "mine");
  EXPECT_EQ(ask(post("/braces", "Once", head)).body, long_name);
}

TEST_F(ServiceTest, WhatAnEndpointCannotWriteIsNotTheCallersFault) {
  service_.api("/json", [] { return JsonText{"{"}; });
  start();
  const Answer answer = ask(post("/json", ""));
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr("answer: "));
}

TEST_F(ServiceTest, PathsAreThoseOfAddressesAndToldToTheEndpoint) {
  for (const char* path : {"/a b", "/x/{id}", "/caf\xC3\xA9", "/x\"y"}) {
    try {
      service_.api(path, [] {});
      ADD_FAILURE() << path << ": no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), "path") << error.what();
    }
  }
  service_.api("/files/", [](Context& context) { return context.path(); }, {.method = "GET"});
  start();
  EXPECT_EQ(ask(get("/files/a%20b/c?x=1")).body, "/files/a b/c");
}

TEST_F(ServiceTest, MessagesAreMembersOfStructs) {
  service_.api("/chat", [this](Conversation conversation) {
    return llm_.chat(conversation.messages, greedy(4));
  });
  start();
  const base::Json output =
      whole_of(ask(post("/chat", R"({"messages":[{"role":"user","content":"Hi"}]})")));
  EXPECT_EQ(*output.find("outputs")->if_array()->front().find("text")->if_string(),
            llm_.chat({{.role = "user", .content = "Hi"}}, greedy(4)).outputs[0].text);
  const Answer wrong = ask(post("/chat", R"({"messages":[{"content":"Hi"}]})"));
  EXPECT_EQ(*wrong.json().find("error")->find("message")->if_string(), "messages[0].role: missing");
}

TEST_F(ServiceTest, StreamsOfRequestsAreEvents) {
  service_.api("/sync",
               [this](std::string prompt) { return llm_.generate_iterator(prompt, greedy(6)); });
  service_.api("/async", [this](std::string prompt, Context& context) {
    context.set_header("X-Own", "yes");
    return llm_.runner().generate_iterator.async_stream(prompt, context.options(greedy(6)));
  });
  start();
  for (const char* path : {"/sync", "/async"}) {
    const Answer answer = ask(post(path, "Once"));
    std::string text;
    std::size_t n_finished = 0;
    for (const base::Json& chunk : chunks_of(answer)) {
      for (const base::Json& output : *chunk.find("outputs")->if_array())
        text += *output.find("text")->if_string();
      if (*chunk.find("finished")->if_bool()) ++n_finished;
    }
    EXPECT_EQ(text, greedy_text("Once", 6)) << path;
    EXPECT_EQ(n_finished, 1U) << path;
    EXPECT_EQ(answer.headers.count("x-own"), std::string(path) == "/async" ? 1U : 0U);
  }
}

Generator<int> count_to(int n) {
  for (int i = 1; i <= n; ++i) co_yield i;
  if (n == 3) throw Error(ErrorCode::kInvalidArgument, "n: must not be 3");
}

AsyncGenerator<std::string> words(LLM llm, std::string prompt) {
  AsyncGenerationStream stream = llm.async_generate_iterator(prompt, greedy(5));
  while (const GenerationOutput* output = co_await stream.next()) {
    std::string delta = output->outputs[0].delta;
    co_yield delta;
  }
}

TEST_F(ServiceTest, GeneratorsAreEvents) {
  service_.api("/count", [](int n) { return count_to(n); });
  service_.api("/words", [this](std::string prompt) { return words(llm_, prompt); });
  start();
  EXPECT_EQ(events(ask(post("/count", "2")).body), (std::vector<std::string>{"1", "2", "[DONE]"}));
  const std::vector<std::string> failed = events(ask(post("/count", "3")).body);
  ASSERT_EQ(failed.size(), 4U);
  EXPECT_THAT(failed[3], HasSubstr("n: must not be 3"));
  EXPECT_EQ(events(ask(post("/count", "0")).body), (std::vector<std::string>{"[DONE]"}));
  std::string text;
  for (const base::Json& chunk : chunks_of(ask(post("/words", "Once")))) text += *chunk.if_string();
  EXPECT_EQ(text, greedy_text("Once", 5));
}

TEST_F(ServiceTest, ErrorsHaveTheStatusOfTheirCode) {
  service_.api("/fail", [](const std::string& kind) -> std::string {
    if (kind == "missing") throw Error(ErrorCode::kNotFound, "page: there is none");
    if (kind == "other") throw std::runtime_error("a plain failure");
    throw 5;
  });
  service_.api("/later", [](std::string) -> Task<std::string> {
    throw Error(ErrorCode::kUnavailable, "store: is closed");
    co_return "";
  });
  start();
  EXPECT_EQ(ask(post("/fail", "missing")).status, 404);
  const Answer other = ask(post("/fail", "other"));
  EXPECT_EQ(other.status, 500);
  EXPECT_THAT(other.body, HasSubstr("a plain failure"));
  EXPECT_EQ(ask(post("/fail", "int")).status, 500);
  EXPECT_EQ(ask(post("/later", "x")).status, 503);
}

TEST_F(ServiceTest, TheContextSaysWhoAsksAndSetsWhatTheAnswerHas) {
  service_.api("/who",
               [](Context& context) {
                 context.set_status(202);
                 context.set_header("X-Own", "a");
                 EXPECT_THROW(context.set_header("Content-Length", "1"), Error);
                 EXPECT_THROW(context.set_header("X-Bad", "a\r\nb"), Error);
                 EXPECT_THROW(context.set_status(99), Error);
                 return context.request_id() + "|" + std::string(context.header("x-test")) + "|" +
                        context.query("a b") + "|" + context.query("none") + "|" +
                        std::string(*context.options().request_id.data() == 'm' ? "same" : "other");
               },
               {.method = "GET"});
  start();
  const Answer answer = ask(get("/who?x=1&a%20b=%3D+y", "X-Request-Id: mine\r\nX-Test: t\r\n"));
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, "mine|t|= y||same");
  EXPECT_EQ(answer.headers.at("x-own"), "a");
}

TEST_F(ServiceTest, FunctionsThatBlockKeepNobodyElseWaiting) {
  std::mutex mutex;
  std::condition_variable wake;
  bool go_on = false;
  int n_inside = 0;
  service_.api("/block", [&](std::string text) {
    std::unique_lock lock(mutex);
    ++n_inside;
    wake.notify_all();
    wake.wait(lock, [&] { return go_on; });
    return text;
  });
  start({.handler_threads = 2});
  std::vector<std::thread> threads;
  std::atomic<int> n_answered{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { n_answered += ask(post("/block", "x")).status == 200 ? 1 : 0; });
  }
  {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return n_inside == 2; });
  }
  EXPECT_EQ(ask(get("/healthz")).status, 200);
  EXPECT_EQ(ask(post("/v1/completions", R"({"prompt":"Once","max_tokens":1})")).status, 200);
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(n_inside, 2);  // as many as there are threads
    go_on = true;
  }
  wake.notify_all();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_answered, 3);
}

TEST_F(ServiceTest, ClientsThatGoAwayEndTheRequest) {
  std::mutex mutex;
  std::condition_variable wake;
  std::optional<FinishReason> reason;
  service_.api("/chat", [&](std::string prompt, Context& context) -> Task<std::string> {
    GenerateOptions options = context.options(greedy(100000));
    options.ignore_eos = true;
    options.truncate_prompt = true;
    GenerationOutput output;
    AsyncGenerationStream stream = llm_.async_generate_iterator(prompt, options);
    while (const GenerationOutput* next = co_await stream.next()) output = *next;
    const std::lock_guard lock(mutex);
    reason = output.outputs[0].finish_reason;
    wake.notify_all();
    co_return "";
  });
  start();
  {
    Probe client(service_.port());
    client.send(post("/chat", "Once"));
    while (llm_.stats().n_running == 0) std::this_thread::yield();
  }
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return reason.has_value(); });
  EXPECT_EQ(reason, FinishReason::kCancelled);
}

TEST_F(ServiceTest, BuiltInRoutesAreBesideUnlessTheyAreNotWanted) {
  service_.api("/v1/completions", [](std::string) { return std::string("mine"); });
  start();
  EXPECT_EQ(ask(post("/v1/completions", "{}")).body, "mine");
  EXPECT_EQ(ask(get("/v1/models")).status, 200);

  Service bare("bare", {llm_.runner()});
  bare.mount(false).api("/x", [] {}, {.method = "GET"});
  bare.start({.port = 0});
  EXPECT_EQ(call(bare.port(), get("/v1/models")).status, 404);
  EXPECT_EQ(call(bare.port(), get("/healthz")).status, 200);
  EXPECT_EQ(call(bare.port(), get("/x")).status, 204);
}

TEST_F(ServiceTest, EndpointsWantAKeyUnlessTheySayOtherwise) {
  service_.api("/open", [] {}, {.method = "GET", .needs_key = false});
  service_.api("/closed", [] {}, {.method = "GET"});
  start({.api_keys = {"secret"}});
  EXPECT_EQ(ask(get("/open")).status, 204);
  EXPECT_EQ(ask(get("/closed")).status, 401);
  EXPECT_EQ(ask(get("/closed", "Authorization: Bearer secret\r\n")).status, 204);
}

TEST_F(ServiceTest, PagesOfOtherOriginsNeedToBeAllowed) {
  service_.api("/text", [](std::string text) { return text; });
  start({.allowed_origins = {"https://mine.example"}});
  const auto status = [&](const char* origin) {
    return ask(std::string("POST /text HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n") +
               "Content-Length: 1\r\nOrigin: " + origin + "\r\n\r\nx")
        .status;
  };
  EXPECT_EQ(status("https://mine.example"), 200);
  EXPECT_EQ(status("https://other.example"), 415);
}

TEST_F(ServiceTest, WhatCannotBeIsRefusedAtOnce) {
  const auto add = [&](const std::string& path, const ApiOptions& options) {
    service_.api(
        path, [](std::string text) { return text; }, options);
  };
  EXPECT_THROW(add("chat", {}), Error);
  EXPECT_THROW(add("/chat", {.method = "GET"}), Error);  // with an input
  EXPECT_THROW(add("/chat", {.method = "get"}), Error);
  add("/chat", {});
  EXPECT_THROW(add("/chat", {}), Error);
  EXPECT_THROW(service_.wait(), Error);
  EXPECT_EQ(service_.port(), 0);
  EXPECT_THROW(service_.start({.handler_threads = -1}), Error);
  start();
  EXPECT_THROW(add("/later", {}), Error);
  EXPECT_THROW(service_.start(), Error);
}

TEST_F(ServiceTest, APageListsTheRoutes) {
  service_.api("/a&b", [] { return std::string("x"); }, {.method = "GET", .summary = "<Mine>"});
  start();
  const Answer page = ask(get("/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<code>/a&amp;b</code></td><td>&lt;Mine&gt;</td>"));
  EXPECT_THAT(page.body, HasSubstr("<code>/v1/chat/completions</code>"));
}

TEST(ServiceWithoutModels, ServesItsEndpoints) {
  Service service("tools");
  service.api("/twice", plain_twice);
  EXPECT_THROW(service.start({.port = 0, .model_aliases = {"gpt-4"}}), Error);
  service.start({.port = 0});
  service.wait_until_ready();
  const auto ask = [&](const std::string& request) { return call(service.port(), request); };
  EXPECT_EQ(ask(post("/twice", "ab", "Content-Type: text/plain\r\n")).body, "abab");
  EXPECT_EQ(ask(get("/readyz")).status, 200);
  EXPECT_EQ(ask(get("/metrics")).status, 200);
  EXPECT_EQ(ask(post("/v1/completions", R"({"prompt":"Once"})")).status, 404);
  EXPECT_EQ(ask(get("/docs.json")).json().find("paths")->find("/v1/completions"), nullptr);
}

TEST_F(ServiceTest, TheDocumentDescribesItsEndpoints) {
  service_.api("/chat",
               [](const Question& question) {
                 return Reply{question.question, 0};
               },
               {.summary = "Ask", .description = "Anything"});
  service_.api("/files/", [](Context&) { return count_to(1); }, {.method = "GET"});
  start();
  const base::Json document = whole_of(ask(get("/docs.json")));
  EXPECT_EQ(document.find("info")->find("title")->dump(), "\"chat\"");
  const base::Json& chat = *document.find("paths")->find("/chat")->find("post");
  EXPECT_EQ(chat.find("summary")->dump(), "\"Ask\"");
  EXPECT_EQ(chat.find("description")->dump(), "\"Anything\"");
  EXPECT_THAT(chat.find("requestBody")->dump(), HasSubstr("#/components/schemas/Question"));
  EXPECT_THAT(chat.find("responses")->dump(), HasSubstr("#/components/schemas/Reply"));
  EXPECT_THAT(document.find("paths")->find("/files/{name}")->find("get")->dump(),
              HasSubstr("text/event-stream"));
  EXPECT_THAT(document.find("components")->find("schemas")->find("Question")->dump(),
              HasSubstr(R"("required":["question"])"));
  EXPECT_EQ(ask(get("/openapi.json")).body, document.dump());
}

}  // namespace
}  // namespace openllm::contract
