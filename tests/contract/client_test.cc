// The client against the server.

#include "openllm/client.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <utility>

#include "fake_server.h"
#include "http_probe.h"
#include "openllm/server.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    ServerOptions options;
    options.port = 0;
    options.api_keys = {"key"};
    server_ = std::make_unique<Server>(llm_, options);
    server_->start();
    client_options_.address = "127.0.0.1:" + std::to_string(server_->port()) + "/v1/";
    client_options_.api_key = "key";
  }
  static LoadOptions load_options() {
    LoadOptions options;
    options.chat_template =
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ";
    options.n_threads = 1;
    return options;
  }
  static GenerateOptions greedy() {
    GenerateOptions options;
    options.temperature = 0.0F;
    options.max_new_tokens = 12;
    options.logprobs = 2;
    return options;
  }

  LLM llm_{OPENLLM_TEST_DATA "/stories260K/hf", load_options()};
  std::unique_ptr<Server> server_;
  ClientOptions client_options_;
};

TEST_F(ClientTest, AnswersEqualTheLibrarys) {
  const Client client(client_options_);
  EXPECT_THAT(client.models(), ::testing::ElementsAre(llm_.id()));
  EXPECT_TRUE(eventually([&] { return client.health(); }));
  const std::vector<Prompt> prompts{Prompt("Once upon a time"),
                                    Prompt(std::vector<Message>{{"user", "Hi", ""}})};
  for (const Prompt& prompt : prompts) {
    const GenerationOutput expected = llm_.generate(prompt, greedy());
    const GenerationOutput whole = client.generate(prompt, greedy());
    std::string deltas;
    const GenerationOutput streamed =
        client.generate_stream(prompt, greedy(), [&](const GenerationOutput& output) {
          deltas += output.outputs[0].delta;
          return true;
        });
    EXPECT_EQ(deltas, expected.outputs[0].text);
    for (const GenerationOutput* output : {&whole, &streamed}) {
      EXPECT_TRUE(output->finished);
      EXPECT_EQ(output->outputs[0].text, expected.outputs[0].text);
      EXPECT_EQ(output->outputs[0].token_ids, expected.outputs[0].token_ids);
      EXPECT_EQ(output->outputs[0].finish_reason, expected.outputs[0].finish_reason);
      EXPECT_EQ(output->prompt_token_ids, expected.prompt_token_ids);
      ASSERT_EQ(output->outputs[0].logprobs->size(), expected.outputs[0].logprobs->size());
      EXPECT_EQ(output->outputs[0].logprobs->at(3)[0].token_id,
                expected.outputs[0].logprobs->at(3)[0].token_id);
    }
  }
}

TEST_F(ClientTest, ErrorsCarryTheServersMessage) {
  const Client client(client_options_);
  GenerateOptions options;
  options.temperature = 3.0F;
  try {
    client.generate("Once", options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("temperature"));
  }
  EXPECT_THROW(client.generate(std::vector<std::int32_t>{}), Error);
  EXPECT_THROW(client.generate(std::vector<std::int32_t>{-1}), Error);
  ClientOptions wrong = client_options_;
  wrong.api_key = "wrong";
  EXPECT_THROW(Client(wrong).models(), Error);
}

TEST_F(ClientTest, CancelledStreamsFreeTheRequest) {
  const Client client(client_options_);
  GenerateOptions options;
  options.max_new_tokens = 100'000;
  options.ignore_eos = true;
  const GenerationOutput output =
      client.generate_stream("Once", options, [](const GenerationOutput&) { return false; });
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(eventually([&] { return llm_.stats().n_running == 0; }));
}

TEST_F(ClientTest, CallbacksMayThrowOrBeMissing) {
  const Client client(client_options_);
  ASSERT_TRUE(eventually([&] { return client.health(); }));
  const GenerateOptions options{.max_new_tokens = 3, .temperature = 0.0F};
  EXPECT_EQ(client.generate_stream("Once", options, nullptr).outputs[0].text,
            llm_.generate("Once", options).outputs[0].text);
  const auto throws = [](const GenerationOutput&) -> bool { throw std::runtime_error("mine"); };
  EXPECT_THROW(client.generate_stream("Once", options, throws), std::runtime_error);
  EXPECT_TRUE(eventually([&] { return llm_.stats().n_running == 0; }));
}

TEST_F(ClientTest, NobodyThere) {
  ClientOptions options;
  options.address = "http://127.0.0.1:1";
  options.max_retries = 0;
  const Client client(options);
  EXPECT_FALSE(client.health());
  EXPECT_THROW(client.models(), Error);
}

TEST_F(ClientTest, OneThatWasMovedFromSaysSo) {
  Client client(client_options_);
  const Client other = std::move(client);
  EXPECT_THROW((void)client.health(), Error);    // NOLINT(*-use-after-move)
  EXPECT_THROW(client.models(), Error);          // NOLINT(*-use-after-move)
  EXPECT_THROW(client.generate("Once"), Error);  // NOLINT(*-use-after-move)
}

TEST_F(ClientTest, TimeoutsEndTheAnswer) {
  const Client client(client_options_);
  ASSERT_TRUE(eventually([&] { return client.health(); }));
  GenerateOptions options;
  options.timeout = std::chrono::seconds(3);  // the first part of the answer comes within it
  const FakeServer silent([](const std::string& request) -> FakeServer::Reply {
    if (request.rfind("GET /v1/models", 0) == 0)
      return {http_reply(200, "application/json", R"({"data":[{"id":"m"}]})")};
    return {event_reply({R"({"choices":[{"index":0,"delta":{"content":"slow"}}]})"}), true};
  });
  ClientOptions slow;
  slow.address = silent.address();
  const std::vector<Message> hi{{"user", "Hi", ""}};
  const GenerationOutput streamed =
      Client(slow).generate_stream(hi, options, [](const GenerationOutput&) { return true; });
  EXPECT_TRUE(streamed.finished);
  EXPECT_EQ(streamed.outputs[0].text, "slow");
  EXPECT_EQ(streamed.outputs[0].finish_reason, FinishReason::kDeadline);
  EXPECT_EQ(Client(slow).generate(hi, options).outputs[0].finish_reason, FinishReason::kDeadline);
}

TEST_F(ClientTest, OutputKindsAreKept) {
  const Client client(client_options_);
  GenerateOptions options = greedy();
  const std::string whole = client.generate("Once", options).outputs[0].text;
  options.output_kind = OutputKind::kDelta;
  std::string sum;
  client.generate_stream("Once", options, [&](const GenerationOutput& output) {
    EXPECT_EQ(output.outputs[0].text, output.outputs[0].delta);
    sum += output.outputs[0].text;
    return true;
  });
  EXPECT_EQ(sum, whole);
  options.output_kind = OutputKind::kFinalOnly;
  int n_outputs = 0;
  client.generate_stream("Once", options, [&](const GenerationOutput& output) {
    ++n_outputs;
    EXPECT_EQ(output.outputs[0].text, whole);
    return true;
  });
  EXPECT_EQ(n_outputs, 1);
}

/// What asking a server for a stream gives, whose answer is `reply`: the text, or the error's code.
std::string stream_from(const std::string& reply, std::optional<ErrorCode>& code) {
  const FakeServer server([&reply](const std::string& request) -> FakeServer::Reply {
    if (request.rfind("GET /v1/models", 0) == 0)
      return {http_reply(200, "application/json", R"({"data":[{"id":"m"}]})")};
    return {reply};
  });
  ClientOptions options;
  options.address = server.address();
  options.max_retries = 0;
  std::string text;
  code.reset();
  try {
    Client(options).generate_stream("Hi", {}, [&](const GenerationOutput& output) {
      text += output.outputs[0].delta;
      return true;
    });
  } catch (const Error& error) {
    code = error.code();
  }
  return text;
}

TEST(ClientOfOtherServers, Streams) {
  const std::string hello = R"({"choices":[{"index":0,"text":"hello"}],"error":null})";
  const std::string end = R"({"choices":[{"index":0,"text":"","finish_reason":"stop"}]})";
  const std::string whole =
      R"({"choices":[{"index":0,"text":"hello","finish_reason":"stop"}],"usage":{}})";
  std::optional<ErrorCode> code;
  EXPECT_EQ(stream_from(event_reply({hello, end, "[DONE]"}), code), "hello");
  EXPECT_FALSE(code);
  EXPECT_EQ(stream_from(event_reply({hello, end}), code), "hello");
  EXPECT_FALSE(code) << "finished without [DONE]";
  EXPECT_EQ(stream_from(http_reply(200, "application/json", whole), code), "hello");
  EXPECT_FALSE(code) << "a server that does not stream";
  EXPECT_EQ(stream_from(event_reply({hello}), code), "hello");
  EXPECT_EQ(code, ErrorCode::kIo) << "died in the middle";
  stream_from(event_reply({"[DONE]"}), code);
  EXPECT_EQ(code, ErrorCode::kIo) << "no answer at all";
  EXPECT_EQ(
      stream_from(event_reply({hello, R"({"error":{"message":"x","code":"unavailable"}})"}), code),
      "hello");
  EXPECT_EQ(code, ErrorCode::kUnavailable);
  const std::string parts =
      R"({"choices":[{"delta":{"content":[{"type":"text","text":"hel"},{"text":"lo"},{}, 5]},)"
      R"("finish_reason":"stop"}]})";
  EXPECT_EQ(stream_from(event_reply({parts}), code), "hello");
  EXPECT_FALSE(code) << "content as a list of parts";
  stream_from(event_reply({"{bad"}), code);
  EXPECT_EQ(code, ErrorCode::kIo);
  stream_from(http_reply(200, "text/html", "<html>"), code);
  EXPECT_EQ(code, ErrorCode::kIo);
  stream_from(http_reply(302, "text/html", "", "Location: http://127.0.0.1:1/\r\n"), code);
  EXPECT_EQ(code, ErrorCode::kIo);
  stream_from("", code);
  EXPECT_EQ(code, ErrorCode::kIo);
  stream_from(http_reply(401, "application/json", R"({"error":{"message":"no"}})"), code);
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
}

TEST(ClientOfOtherServers, RetriesWhileTheServerIsBusy) {
  int n_refused = 0;
  const FakeServer server([&](const std::string&) -> FakeServer::Reply {
    if (n_refused++ < 2) return {http_reply(429, "application/json", "{}", "Retry-After: 0\r\n")};
    return {http_reply(200, "application/json", R"({"data":[{"id":"m"}]})")};
  });
  ClientOptions options;
  options.address = server.address();
  EXPECT_THAT(Client(options).models(), ::testing::ElementsAre("m"));
  EXPECT_EQ(server.n_requests(), 3);
}

TEST(ClientOfOtherServers, ProxiesAreNotAskedForThisMachine) {
  const FakeServer server([](const std::string&) -> FakeServer::Reply {
    return {http_reply(200, "application/json", R"({"data":[]})")};
  });
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  ClientOptions options;
  options.address = server.address();
  options.max_retries = 0;
  EXPECT_NO_THROW(Client(options).models());
  ::unsetenv("http_proxy");
}

TEST(ClientOfOtherServers, OptionsThatCannotBeSentAreRefused) {
  const auto code = [](ClientOptions options) {
    try {
      Client(std::move(options)).models();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code({.address = "127.0.0.1:1", .api_key = "a\r\nX: b"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.address = "127.0.0.1:1", .api_key = "a\x7F"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.address = "ftp://127.0.0.1"}), ErrorCode::kInvalidArgument);
  for (const char* address :
       {"http://127.0.0.1:99999", "http://", "http:///v1", "://x", "https://?"})
    EXPECT_EQ(code({.address = address}), ErrorCode::kInvalidArgument) << address;
  for (const int seconds : {0, -5}) {
    EXPECT_EQ(code({.address = "127.0.0.1:1", .timeout_s = seconds}), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(code({.address = "HTTP://127.0.0.1:1/v1/", .max_retries = 0}), ErrorCode::kUnavailable);
}

/// The message that asking the server for its models ends with.
std::string models_failure(const std::string& address) {
  try {
    Client({.address = address, .max_retries = 0}).models();
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ClientOfOtherServers, ErrorsSayWhereTheCallWentButNoPassword) {
  using ::testing::HasSubstr;
  using ::testing::Not;
  std::string reply;
  const FakeServer server([&](const std::string&) -> FakeServer::Reply { return {reply}; });
  std::string address = server.address();
  reply = http_reply(404, "application/json", R"({"detail":"Not Found"})");
  EXPECT_EQ(models_failure(address), "Not Found (from " + address + "/v1/models)");
  reply = http_reply(308, "text/html", "", "LOCATION:  https://Elsewhere.example/v1/models \r\n");
  EXPECT_THAT(models_failure(address), HasSubstr("308: " + address +
                                                 "/v1/models is now "
                                                 "https://Elsewhere.example/v1/models ("));
  reply = http_reply(302, "text/html", "", "Location: \r\n");
  EXPECT_EQ(models_failure(address), "server: HTTP status 302");
  address.insert(std::string("http://").size(), "user:secret@");
  reply = http_reply(404, "application/json", "{}");
  EXPECT_THAT(models_failure(address), HasSubstr(server.address()));
  for (const std::string& from : {address, std::string("http://user:secret@127.0.0.1:1"),
                                  std::string("ftp://user:secret@127.0.0.1")}) {
    EXPECT_THAT(models_failure(from), Not(HasSubstr("secret"))) << from;
  }
}

/// A server with one model, which answers every request with `reply`.
FakeServer::Reply of_one_model(const std::string& request, const FakeServer::Reply& reply) {
  if (request.rfind("GET /v1/models", 0) != 0) return reply;
  return {http_reply(200, "application/json", R"({"data":[{"id":"m"}]})")};
}

TEST(ClientOfOtherServers, SilenceOfTheGivenTimeIsAnError) {
  const FakeServer server([](const std::string& request) {
    return of_one_model(request, {.bytes = "", .hangs = true});  // it gives up after ten seconds
  });
  const Client client({.address = server.address(), .timeout_s = 1, .max_retries = 0});
  try {
    client.generate("Hi");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDeadline) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("for 1 s"));
  }
}

TEST(ClientOfOtherServers, OneWithoutModelsCannotBeAsked) {
  const FakeServer server([](const std::string&) -> FakeServer::Reply {
    return {http_reply(200, "application/json", R"({"data":[]})")};
  });
  try {
    Client({.address = server.address()}).generate("Hi");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("has no models"));
  }
}

TEST(ClientOfOtherServers, RequestsSayWhatTheyAre) {
  std::string head;
  const FakeServer server([&](const std::string& request) {
    head = request.substr(0, request.find("\r\n\r\n"));
    return of_one_model(request, {http_reply(200, "application/json", R"({"choices":[]})")});
  });
  const Client client({.address = server.address() + "/base/v1", .max_retries = 0});
  EXPECT_THROW(client.models(), Error) << "nothing there";
  EXPECT_THAT(head, ::testing::StartsWith("GET /base/v1/models HTTP/1.1\r\n"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("Authorization:")));
  const Client keyed({.address = server.address(), .api_key = "k", .max_retries = 0});
  // Some libraries announce long bodies and wait; servers answer that late or never.
  keyed.generate(std::string(std::size_t{2} << 20U, 'a'));
  EXPECT_THAT(head, ::testing::StartsWith("POST /v1/completions HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/json"));
  EXPECT_THAT(head, HasSubstr("\r\nAuthorization: Bearer k"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("Expect:")));
}

TEST(ClientOfOtherServers, AChoiceThatHasEndedKeepsItsReason) {
  const FakeServer server([](const std::string& request) {
    return of_one_model(
        request, {event_reply({R"({"choices":[{"index":0,"text":"a","finish_reason":"length"},)"
                               R"({"index":1,"text":"b"}]})"}),
                  true});
  });
  const GenerationOutput output =
      Client({.address = server.address()})
          .generate_stream("Hi", {.n = 2}, [](const GenerationOutput&) { return false; });
  EXPECT_TRUE(output.finished);
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(output.outputs[1].finish_reason, FinishReason::kCancelled);
}

TEST(ClientOfOtherServers, AStreamThatIsNoneShowsWhatItIs) {
  std::string reply;
  const FakeServer server(
      [&](const std::string& request) { return of_one_model(request, {reply}); });
  const auto message = [&](const std::string& bytes) {
    reply = bytes;
    try {
      Client({.address = server.address(), .max_retries = 0}).generate_stream("Hi", {}, nullptr);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(http_reply(200, "text/html; charset=utf-8", "<html>login")),
              HasSubstr("not JSON (got <html>login)"));
  EXPECT_THAT(message(http_reply(400, "text/event-stream", "data: broken\n\n")),
              HasSubstr("400: data: broken"));
}

TEST(ClientOfOtherServers, OnlyRedirectionsNameAnotherAddress) {
  const auto message = [](int status) {
    const FakeServer server([status](const std::string&) -> FakeServer::Reply {
      return {http_reply(status, "application/json", "{}", "Location: http://a.example/\r\n")};
    });
    return models_failure(server.address());
  };
  EXPECT_THAT(message(301), HasSubstr("is now http://a.example/"));
  for (const int status : {404, 405}) {
    EXPECT_THAT(message(status), HasSubstr("/v1/models)")) << "(from ...)";
    EXPECT_THAT(message(status), ::testing::Not(HasSubstr("is now")));
  }
  EXPECT_THAT(message(400), ::testing::Not(HasSubstr("/v1/models")));
}

TEST(ClientOfOtherServers, NamesThatNobodyHasAreNotReached) {
  try {
    Client({.address = "http://no-such-host.invalid:1", .max_retries = 0}).models();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << error.what();
  }
}

}  // namespace
}  // namespace openllm::contract
