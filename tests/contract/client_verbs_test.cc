// The client's verbs are the LLM's.

#include <gmock/gmock.h>

#include <cstdlib>

#include "fake_server.h"
#include "openllm/client.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<Message> kChat{{.role = "user", .content = "Hi"}};

class ClientVerbs : public ServerTest {
 protected:
  ClientVerbs() {
    start();
    client_ = std::make_unique<Client>(options());
  }
  ClientOptions options() const {
    return {.address = "127.0.0.1:" + std::to_string(port()), .max_retries = 0};
  }
  static GenerateOptions greedy() {
    return {.max_new_tokens = 9, .temperature = 0.0F, .n = 2, .logprobs = 1};
  }
  std::unique_ptr<Client> client_;
};

void expect_same(const GenerationOutput& got, const GenerationOutput& expected) {
  EXPECT_TRUE(got.finished);
  EXPECT_EQ(got.prompt_token_ids, expected.prompt_token_ids);
  EXPECT_EQ(got.usage.n_prompt_tokens, expected.usage.n_prompt_tokens);
  EXPECT_EQ(got.usage.n_completion_tokens, expected.usage.n_completion_tokens);
  EXPECT_GT(got.timing.total_s, 0.0);
  EXPECT_LE(got.timing.first_token_s.value_or(0.0), got.timing.total_s);
  ASSERT_EQ(got.outputs.size(), expected.outputs.size());
  for (std::size_t i = 0; i < got.outputs.size(); ++i) {
    EXPECT_EQ(got.outputs[i].index, static_cast<int>(i));
    EXPECT_EQ(got.outputs[i].text, expected.outputs[i].text);
    EXPECT_EQ(got.outputs[i].token_ids, expected.outputs[i].token_ids);
    EXPECT_EQ(got.outputs[i].finish_reason, expected.outputs[i].finish_reason);
    EXPECT_EQ(got.outputs[i].logprobs->size(), expected.outputs[i].token_ids.size());
    EXPECT_NEAR(got.outputs[i].cumulative_logprob, expected.outputs[i].cumulative_logprob, 1e-3);
  }
}

Task<GenerationOutput> read_async(const Client& client, Prompt prompt, GenerateOptions options) {
  AsyncGenerationStream stream = client.async_generate_iterator(prompt, options);
  co_await stream.accepted();
  GenerationOutput last;
  while (const GenerationOutput* output = co_await stream.next()) last = *output;
  co_return last;
}

TEST_F(ClientVerbs, TheEndOfAStreamHasTheServersCounts) {
  const auto count = [](const GenerationOutput& output) {
    return std::vector<std::int64_t>{output.usage.n_prompt_tokens, output.usage.n_completion_tokens,
                                     output.usage.n_cached_tokens, output.n_cached_tokens};
  };
  const std::string usage = R"({"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":22,)"
                            R"("prompt_tokens_details":{"cached_tokens":3}}})";
  const std::string end = R"({"choices":[{"index":0,"text":"b","finish_reason":"stop"}]})";
  for (const bool tells_usage : {true, false}) {
    const FakeServer fake([&](const std::string&) -> FakeServer::Reply {
      const std::string text = R"({"choices":[{"index":0,"text":"a"}]})";
      if (tells_usage) return {event_reply({text.c_str(), end.c_str(), usage.c_str(), "[DONE]"})};
      return {event_reply({text.c_str(), end.c_str()})};
    });
    const Client client({.address = fake.address(), .max_retries = 0, .model = "m"});
    const std::vector<std::int64_t> expected =
        tells_usage ? std::vector<std::int64_t>{11, 22, 3, 3} : std::vector<std::int64_t>(4, 0);
    GenerationOutput last;
    std::string deltas;
    for (const GenerationOutput& output : client.generate_iterator("Hi", {})) {
      deltas += output.outputs[0].delta;
      last = output;
    }
    EXPECT_EQ(deltas, "ab") << "what came with the end comes once";
    EXPECT_TRUE(last.finished);
    EXPECT_EQ(count(last), expected);
    EXPECT_TRUE(last.timing.first_token_s.has_value());
    std::vector<bool> finished;
    const GenerationOutput result =
        client.generate_stream("Hi", {}, [&](const GenerationOutput& output) {
          finished.push_back(output.finished);
          return true;
        });
    EXPECT_THAT(finished, ElementsAre(false, true)) << "the end is told once, with the counts";
    EXPECT_EQ(count(result), expected);
    EXPECT_EQ(count(client.async_generate("Hi", {}).get()), expected);
  }
}

TEST_F(ClientVerbs, GiveWhatTheLibraryGives) {
  const std::vector<Prompt> prompts{Prompt("Once upon"), Prompt(kChat),
                                    Prompt(std::vector<std::int32_t>{1, 403, 407})};
  for (const Prompt& prompt : prompts) {
    const GenerationOutput expected = llm_.generate(prompt, greedy());
    expect_same(client_->generate(prompt, greedy()), expected);
    expect_same(client_->async_generate(prompt, greedy()).get(), expected);
    expect_same(read_async(*client_, prompt, greedy()).get(), expected);
    GenerationOutput last;
    std::string deltas;
    for (const GenerationOutput& output : client_->generate_iterator(prompt, greedy())) {
      deltas += output.outputs[1].delta;
      last = output;
    }
    expect_same(last, expected);
    EXPECT_EQ(deltas, expected.outputs[1].text);
  }
  const GenerationOutput chat = llm_.chat(kChat, greedy());
  expect_same(client_->chat(kChat, greedy()), chat);
  expect_same(client_->async_chat(kChat, greedy()).get(), chat);
}

TEST_F(ClientVerbs, N24SumsOfLogprobsNeedNoLogprobs) {
  GenerateOptions options = greedy();
  options.logprobs.reset();
  for (const Prompt& prompt : {Prompt("Once upon"), Prompt(kChat)}) {
    const GenerationOutput expected = llm_.generate(prompt, options);
    ASSERT_LT(expected.outputs[1].cumulative_logprob, 0.0);
    const GenerationOutput whole = client_->generate(prompt, options);
    const GenerationOutput streamed = client_->generate_stream(prompt, options, nullptr);
    for (const GenerationOutput* output : {&whole, &streamed}) {
      EXPECT_DOUBLE_EQ(output->outputs[1].cumulative_logprob,
                       expected.outputs[1].cumulative_logprob);
      EXPECT_FALSE(output->outputs[1].logprobs);
    }
  }
}

TEST_F(ClientVerbs, PromptLogprobsComeAsTheLibraryGivesThem) {
  const GenerateOptions options{.max_new_tokens = 2, .temperature = 0.0F, .prompt_logprobs = 2};
  const GenerationOutput expected = llm_.generate("Once upon a time", options);
  const GenerationOutput output = client_->generate("Once upon a time", options);
  ASSERT_TRUE(output.prompt_logprobs);
  ASSERT_EQ(output.prompt_logprobs->size(), expected.prompt_logprobs->size());
  for (std::size_t i = 0; i < output.prompt_logprobs->size(); ++i) {
    const TokenLogprobs& list = (*output.prompt_logprobs)[i];
    const TokenLogprobs& wanted = (*expected.prompt_logprobs)[i];
    ASSERT_EQ(list.size(), wanted.size());
    for (std::size_t k = 0; k < list.size(); ++k) {
      EXPECT_EQ(list[k].token_id, wanted[k].token_id);
      EXPECT_FLOAT_EQ(list[k].logprob, wanted[k].logprob);
    }
  }
}

TEST_F(ClientVerbs, WhatOnlyAnEngineCanDoIsRefused) {
  for (const auto& [options, name] :
       {std::pair{GenerateOptions{.tenant = {"t"}}, "tenant"},
        std::pair{GenerateOptions{.group = {"g"}}, "group"},
        std::pair{GenerateOptions{.max_wait = std::chrono::milliseconds(1)}, "max_wait"}}) {
    try {
      client_->generate("Once", options);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_EQ(error.where(), name);
    }
  }
}

TEST_F(ClientVerbs, StreamsMayOutliveTheClient) {
  GenerationStream stream = client_->generate_iterator("Once", greedy());
  Task<GenerationOutput> task = client_->async_generate("Once", greedy());
  client_.reset();
  GenerationOutput last;
  while (const GenerationOutput* output = stream.next()) last = *output;
  const GenerationOutput expected = llm_.generate("Once", greedy());
  expect_same(last, expected);
  expect_same(task.get(), expected);
}

TEST_F(ClientVerbs, DroppedStreamsEndTheRequest) {
  const GenerateOptions endless{.max_new_tokens = 100'000, .ignore_eos = true};
  {
    GenerationStream stream = client_->generate_iterator("Once", endless);
    ASSERT_NE(stream.next(), nullptr);
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
}

TEST(ClientStreams, CancelledOnesKeepWhatCame) {
  const FakeServer server([](const std::string&) -> FakeServer::Reply {
    return {event_reply({R"({"choices":[{"index":0,"text":"so far"}]})"}), true};
  });
  const Client client({.address = server.address(), .model = "m"});
  GenerationStream stream = client.generate_iterator("Once");
  ASSERT_NE(stream.next(), nullptr);
  stream.cancel();
  const GenerationOutput* output = stream.next();
  while (output != nullptr && !output->finished) output = stream.next();
  ASSERT_NE(output, nullptr);
  EXPECT_EQ(output->outputs[0].finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(output->outputs[0].text, "so far");
}

TEST_F(ClientVerbs, ErrorsComeOutOfTheStreams) {
  const GenerateOptions wrong{.temperature = 3.0F};
  const auto code = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code([&] { client_->generate_iterator("Once", wrong).next(); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { (void)client_->async_generate("Once", wrong).get(); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { (void)read_async(*client_, "Once", wrong).get(); }),
            ErrorCode::kInvalidArgument);
  const Client other = std::move(*client_);
  EXPECT_EQ(code([&] { client_->generate_iterator("Once"); }), ErrorCode::kInvalidArgument);
}

TEST(ClientModels, TheChosenOneIsAskedFor) {
  std::string body;
  const FakeServer server([&](const std::string& request) -> FakeServer::Reply {
    if (request.rfind("GET /v1/models", 0) == 0)
      return {http_reply(200, "application/json", R"({"data":[{"id":"first"},{"id":"second"}]})")};
    body = request.substr(request.find("\r\n\r\n") + 4);
    return {http_reply(200, "application/json",
                       R"({"choices":[{"index":0,"text":"x","finish_reason":"stop"}]})")};
  });
  const auto asked = [&](const ClientOptions& options, int n_requests) {
    const Client client(options);
    const int n_before = server.n_requests();
    client.generate("Hi");
    client.generate("Hi");
    EXPECT_EQ(server.n_requests() - n_before, n_requests);
    return str(base::Json::parse(body, "body"), {"model"});
  };
  EXPECT_EQ(asked({.address = server.address()}, 3), "first");
  EXPECT_EQ(asked({.address = server.address(), .model = "second"}, 2), "second");
}

TEST(ClientRetries, AsOftenAsAllowed) {
  const FakeServer server([](const std::string&) -> FakeServer::Reply {
    return {http_reply(429, "application/json", R"({"error":{"message":"full"}})",
                       "Retry-After: 0\r\n")};
  });
  for (const int max_retries : {0, 1, 3}) {
    const int n_before = server.n_requests();
    const Client client({.address = server.address(), .max_retries = max_retries});
    EXPECT_THROW(client.models(), Error);
    EXPECT_EQ(server.n_requests() - n_before, 1 + max_retries);
  }
}

TEST(ClientRetries, AreNotMadeForWhatWillNotPass) {
  for (const int status : {400, 401, 404, 422}) {
    const FakeServer server([status](const std::string&) -> FakeServer::Reply {
      return {http_reply(status, "application/json", "{}", "Retry-After: 0\r\n")};
    });
    EXPECT_THROW(Client({.address = server.address()}).models(), Error);
    EXPECT_EQ(server.n_requests(), 1) << status;
  }
}

TEST(ClientRetries, EndWithTheRequest) {
  // An hour, were the pause not ended.
  const std::string later = http_reply(429, "application/json", R"({"error":{"message":"full"}})",
                                       "Retry-After: 3600\r\n");
  std::stop_source stop;
  const FakeServer server([&](const std::string& request) -> FakeServer::Reply {
    if (request.find("\"stop me\"") != std::string::npos) stop.request_stop();
    return {later};
  });
  const Client client({.address = server.address(), .model = "m"});
  GenerateOptions options;
  options.stop_token = stop.get_token();
  EXPECT_EQ(client.generate("stop me", options).outputs[0].finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(server.n_requests(), 1);
  options = {};
  options.timeout = std::chrono::milliseconds(300);
  EXPECT_EQ(client.generate("x", options).outputs[0].finish_reason, FinishReason::kDeadline);
}

TEST(ClientRetries, TellWhenToComeAgain) {
  std::string fields;
  const FakeServer server([&](const std::string&) -> FakeServer::Reply {
    return {http_reply(429, "application/json", R"({"error":{"message":"full"}})", fields)};
  });
  const auto told = [&](const std::string& given) {
    fields = given;
    try {
      Client({.address = server.address(), .max_retries = 0}).models();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBusy);
      return error.retry_after().count();
    }
    return std::chrono::milliseconds::rep{-1};
  };
  EXPECT_EQ(told("Retry-After: 7\r\n"), 7000);
  EXPECT_EQ(told("retry-after-ms: 1500\r\nRetry-After: 2\r\n"), 1500);
  EXPECT_EQ(told("Retry-After: 2\r\nRETRY-AFTER-MS: 1500\r\n"), 1500);
  EXPECT_EQ(told("Retry-After: Fri, 27 Nov 2026 10:00:00 GMT\r\n"), 0);
  EXPECT_EQ(told("Retry-After: -3\r\n"), 0);
  EXPECT_EQ(told(""), 0);
}

TEST(ClientEnvironment, GivesAddressAndKey) {
  std::string head;
  const FakeServer server([&](const std::string& request) -> FakeServer::Reply {
    head = request;
    return {http_reply(200, "application/json", R"({"data":[]})")};
  });
  ::setenv("OPENLLM_ENDPOINT", server.address().c_str(), 1);
  ::setenv("OPENLLM_AUTH_TOKEN", "from-env", 1);
  EXPECT_THAT(Client().models(), ElementsAre());
  EXPECT_THAT(head, HasSubstr("Authorization: Bearer from-env\r\n"));
  EXPECT_THAT(Client({.api_key = "given"}).models(), ElementsAre());
  EXPECT_THAT(head, HasSubstr("Authorization: Bearer given\r\n"));
  ::unsetenv("OPENLLM_ENDPOINT");
  ::unsetenv("OPENLLM_AUTH_TOKEN");
}

}  // namespace
}  // namespace openllm::contract
