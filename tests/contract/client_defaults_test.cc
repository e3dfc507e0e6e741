// A server's defaults and its clients: what nobody asks for follows them, and what is asked for
// wins.

#include <gmock/gmock.h>

#include <functional>
#include <utility>

#include "fake_server.h"
#include "openllm/client.h"
#include "openllm/http_client.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::SizeIs;

class ClientDefaults : public ServerTest {
 protected:
  void start_with(LLMConfig config) {
    LoadOptions load;
    load.config = std::move(config);
    llm_ = make_llm(load);
    start();
    const std::string address = "127.0.0.1:" + std::to_string(port());
    client_ = std::make_unique<Client>(ClientOptions{.address = address, .max_retries = 0});
    http_ = std::make_unique<HTTPClient>(HTTPClientOptions{.address = address, .max_retries = 0});
  }
  using Ask = std::function<GenerationOutput(const Prompt&, const GenerateOptions&)>;
  /// Each way to an answer; the last output of those that stream.
  std::vector<Ask> ways() {
    const auto last = [](GenerationStream stream) {
      GenerationOutput output;
      while (const GenerationOutput* next = stream.next()) output = *next;
      return output;
    };
    return {
        [this](const Prompt& p, const GenerateOptions& o) { return client_->generate(p, o); },
        [this](const Prompt& p, const GenerateOptions& o) {
          return client_->generate_stream(p, o, nullptr);
        },
        [this, last](const Prompt& p, const GenerateOptions& o) {
          return last(client_->generate_iterator(p, o));
        },
        [this](const Prompt& p, const GenerateOptions& o) {
          return client_->async_generate(p, o).get();
        },
        [this](const Prompt& p, const GenerateOptions& o) { return http_->generate(p, o); },
        [this, last](const Prompt& p, const GenerateOptions& o) {
          return last(http_->generate_iterator(p, o));
        },
    };
  }
  static std::vector<Prompt> prompts() {
    return {Prompt("Once upon a time"), Prompt(std::vector<Message>{{"user", "Hi", ""}})};
  }

  std::unique_ptr<Client> client_;
  std::unique_ptr<HTTPClient> http_;
};

TEST_F(ClientDefaults, TheServersNumberOfChoicesArrives) {
  start_with({.n = 3, .seed = 5});
  for (const Prompt& prompt : prompts()) {
    const GenerationOutput expected = llm_.generate(prompt, {.max_new_tokens = 8});
    for (const Ask& ask : ways()) {
      const GenerationOutput output = ask(prompt, {.max_new_tokens = 8});
      ASSERT_THAT(output.outputs, SizeIs(3));
      EXPECT_TRUE(output.finished);
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(output.outputs[i].index, static_cast<int>(i));
        EXPECT_EQ(output.outputs[i].text, expected.outputs[i].text);
        EXPECT_EQ(output.outputs[i].token_ids, expected.outputs[i].token_ids);
        EXPECT_EQ(output.outputs[i].finish_reason, expected.outputs[i].finish_reason);
      }
      EXPECT_EQ(output.usage.n_completion_tokens, expected.usage.n_completion_tokens);
      EXPECT_THAT(ask(prompt, {.max_new_tokens = 8, .n = 1}).outputs, SizeIs(1)) << "asked for";
    }
  }
  Generator<StreamingResponse> tokens = http_->generate_stream("Once", {.max_new_tokens = 4});
  std::vector<int> n_tokens(3);
  while (const StreamingResponse* token = tokens.next()) ++n_tokens.at(token->index);
  EXPECT_THAT(n_tokens, ::testing::ElementsAre(4, 4, 4));
  const HTTPCallOptions patch{.llm_config = LLMConfig{.n = 2}};
  EXPECT_THAT(http_->generate("Once", {.max_new_tokens = 2}, patch).outputs, SizeIs(2));
}

TEST_F(ClientDefaults, ARandomSeedBeatsADefaultOne) {
  start_with({.temperature = 1.5F, .top_k = -1, .top_p = 1.0F, .seed = 5, .ignore_eos = true});
  for (const Ask& ask : ways()) {
    EXPECT_EQ(ask("Once", {.max_new_tokens = 24}).outputs[0].token_ids,
              ask("Once", {.max_new_tokens = 24}).outputs[0].token_ids);
    // Equal by chance: hardly ever, with more than a bit in each token.
    EXPECT_NE(ask("Once", {.max_new_tokens = 24, .seed = kRandomSeed}).outputs[0].token_ids,
              ask("Once", {.max_new_tokens = 24, .seed = kRandomSeed}).outputs[0].token_ids);
  }
}

TEST_F(ClientDefaults, EmptyListsAndFalseTakeThemBack) {
  const std::vector<std::int32_t> ids =
      llm_.generate("Once upon a time", {.max_new_tokens = 6, .temperature = 0.0F})
          .outputs[0]
          .token_ids;
  start_with({.max_new_tokens = 6,
              .temperature = 0.0F,
              .suppress_tokens = {ids[0]},
              .stop = {"a", "e", "i", "o", "u"},
              .stop_token_ids = {ids[1]},
              .logprobs = 2});
  GenerateOptions none{.max_new_tokens = 6};
  none.cleared = {"suppress_tokens", "stop", "stop_token_ids", "logprobs"};
  for (const Ask& ask : ways()) {
    EXPECT_NE(ask("Once upon a time", {.max_new_tokens = 6}).outputs[0].token_ids, ids);
    const GenerationOutput plain = ask("Once upon a time", none);
    EXPECT_EQ(plain.outputs[0].token_ids, ids);
    EXPECT_FALSE(plain.outputs[0].logprobs);
  }
  const LLMConfig patch{.cleared = {"suppress_tokens", "stop", "stop_token_ids"}};
  EXPECT_EQ(http_->generate("Once upon a time", {}, {.llm_config = patch}).outputs[0].token_ids,
            ids);
  // And in bodies.
  constexpr const char* kNone = R"("suppress_tokens":[],"stop":[],"stop_token_ids":[],)";
  const std::string start =
      R"({"prompt":"Once upon a time","max_tokens":6,"return_token_ids":true,)";
  const base::Json whole = whole_of(complete(start + kNone + R"("logprobs":false})"));
  EXPECT_EQ(str(whole, {"choices", "0", "logprobs"}), "null");
  EXPECT_EQ(str(whole, {"choices", "0", "token_ids", "5"}), std::to_string(ids[5]));
  for (const char* kept : {R"("logprobs":null})", R"("n":1})"}) {
    EXPECT_EQ(str(whole_of(complete(start + kNone + kept)),
                  {"choices", "0", "logprobs", "token_logprobs", "6"}),
              "(absent)");
    EXPECT_NE(str(whole_of(complete(start + kNone + kept)),
                  {"choices", "0", "logprobs", "token_logprobs", "5"}),
              "(absent)");
  }
  const std::string hi = R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":2)";
  EXPECT_EQ(str(whole_of(chat(hi + R"(,"logprobs":false})")), {"choices", "0", "logprobs"}),
            "null");
  EXPECT_NE(str(whole_of(chat(hi + "}")), {"choices", "0", "logprobs"}), "null");
  EXPECT_NE(str(whole_of(chat(hi + R"(,"logprobs":null})")), {"choices", "0", "logprobs"}), "null");
}

/// Code, message, place and reason.
std::string told(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + "|" + error.what() + "|" +
           std::string(error.where()) + "|" + to_string(error.reason());
  }
  return "no error";
}

TEST(ClientErrors, AreTheSameBeforeAndWithinAStream) {
  for (const auto& [status, details] :
       {std::pair{503, R"("type":"server_error","param":null,"code":"unavailable")"},
        std::pair{400, R"("type":"invalid_request_error","param":"n","code":null)"},
        std::pair{504, R"("type":"server_error","param":null,"code":"deadline_exceeded")"},
        std::pair{500, R"("type":"server_error","param":null,"code":null)"},
        std::pair{400, R"("type":"invalid_request_error","param":"prompt",)"
                       R"("code":"context_length_exceeded")"}}) {
    const std::string body = std::string(R"({"error":{"message":"why",)") + details + "}}";
    std::string reply;
    const FakeServer server([&](const std::string&) { return FakeServer::Reply{reply}; });
    const Client client({.address = server.address(), .max_retries = 0, .model = "m"});
    const HTTPClient http({.address = server.address(), .max_retries = 0});
    const std::vector<std::function<void()>> calls{
        [&] { client.generate_stream("a", {}, nullptr); },
        [&] { client.generate_iterator("a").next(); }, [&] { client.async_generate("a").get(); },
        [&] { http.generate_iterator("a").next(); }, [&] { http.generate_stream("a").next(); }};
    reply = http_reply(status, "application/json", body);
    const std::string before = told(calls[0]);
    EXPECT_THAT(before, ::testing::HasSubstr("|why|"));
    for (const auto& call : calls) EXPECT_EQ(told(call), before);
    reply = event_reply({body});
    for (const auto& call : calls) EXPECT_EQ(told(call), before) << "within the stream";
  }
}

}  // namespace
}  // namespace openllm::contract
