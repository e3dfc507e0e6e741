// The native client against the server: its verbs are the LLM's.

#include "openllm/http_client.h"

#include <gmock/gmock.h>

#include <utility>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

const std::vector<Message> kChat{{.role = "user", .content = "Hi"}};

class HttpClient : public ServerTest {
 protected:
  HttpClient() {
    start();
    client_ = std::make_unique<HTTPClient>(options());
    async_ = std::make_unique<AsyncHTTPClient>(options());
  }
  HTTPClientOptions options() const {
    return {.address = "127.0.0.1:" + std::to_string(port()), .timeout_s = 120, .max_retries = 0};
  }
  static GenerateOptions greedy() {
    return {.max_new_tokens = 9,
            .temperature = 0.0F,
            .n = 2,
            .logprobs = 1,
            .prompt_logprobs = 0,
            .request_id = {"mine"}};
  }
  std::unique_ptr<HTTPClient> client_;
  std::unique_ptr<AsyncHTTPClient> async_;
};

/// Same but for times and what was cached, whatever way the answer came.
void expect_same(const GenerationOutput& got, const GenerationOutput& expected) {
  const auto comparable = [](GenerationOutput output) {
    output.timing = {};
    output.n_cached_tokens = output.usage.n_cached_tokens = 0;
    for (CompletionChunk& chunk : output.outputs) {
      chunk.delta.clear();
      chunk.n_delta_tokens = 0;
    }
    return to_json(output);
  };
  EXPECT_EQ(comparable(got), comparable(expected));
  EXPECT_GT(got.timing.total_s, 0.0);
}

Task<GenerationOutput> read_async(const AsyncHTTPClient& client, Prompt prompt,
                                  GenerateOptions options) {
  AsyncGenerationStream stream = client.generate_iterator(prompt, options);
  co_await stream.accepted();
  GenerationOutput last;
  while (const GenerationOutput* output = co_await stream.next()) last = *output;
  co_return last;
}

Task<std::vector<StreamingResponse>> read_tokens(const AsyncHTTPClient& client, Prompt prompt,
                                                 GenerateOptions options) {
  AsyncGenerator<StreamingResponse> stream = client.generate_stream(prompt, options);
  std::vector<StreamingResponse> all;
  while (const StreamingResponse* item = co_await stream.next()) all.push_back(*item);
  co_return all;
}

TEST_F(HttpClient, GivesWhatTheLibraryGives) {
  for (const Prompt& prompt :
       {Prompt("Once upon"), Prompt(kChat), Prompt(std::vector<std::int32_t>{1, 403, 407})}) {
    const GenerationOutput expected = llm_.generate(prompt, greedy());
    expect_same(client_->generate(prompt, greedy()), expected);
    expect_same(client_->query(prompt, greedy()), expected);
    expect_same(async_->generate(prompt, greedy()).get(), expected);
    expect_same(async_->query(prompt, greedy()).get(), expected);
    expect_same(read_async(*async_, prompt, greedy()).get(), expected);
  }
}

TEST_F(HttpClient, StreamsAddUpToTheAnswer) {
  const GenerationOutput expected = llm_.generate("Once upon", greedy());
  GenerationOutput last;
  std::string deltas;
  for (const GenerationOutput& output : client_->generate_iterator("Once upon", greedy())) {
    deltas += output.outputs[1].delta;
    last = output;
  }
  expect_same(last, expected);
  EXPECT_EQ(deltas, expected.outputs[1].text);
}

/// What single tokens of a stream add up to.
void expect_adds_up(const std::vector<StreamingResponse>& items, const GenerationOutput& expected) {
  std::vector<std::string> texts(expected.outputs.size());
  std::vector<std::vector<std::int32_t>> ids(expected.outputs.size());
  for (const StreamingResponse& item : items) {
    EXPECT_EQ(item.request_id, "mine");
    const auto index = static_cast<std::size_t>(item.index);
    texts.at(index) += item.text;
    if (item.token_ids) ids.at(index).push_back(*item.token_ids);
  }
  for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
    EXPECT_EQ(texts[i], expected.outputs[i].text);
    EXPECT_EQ(ids[i], expected.outputs[i].token_ids);
  }
}

TEST_F(HttpClient, StreamsOfSingleTokens) {
  const GenerationOutput expected = llm_.generate("Once upon", greedy());
  std::vector<StreamingResponse> items;
  for (const StreamingResponse& item : client_->generate_stream("Once upon", greedy()))
    items.push_back(item);
  expect_adds_up(items, expected);
  expect_adds_up(read_tokens(*async_, "Once upon", greedy()).get(), expected);
}

TEST_F(HttpClient, StreamsMayOutliveTheClient) {
  GenerationStream stream = client_->generate_iterator("Once", greedy());
  Task<GenerationOutput> task = async_->generate("Once", greedy());
  Task<Metadata> metadata = async_->metadata();
  client_.reset();
  async_.reset();
  GenerationOutput last;
  while (const GenerationOutput* output = stream.next()) last = *output;
  const GenerationOutput expected = llm_.generate("Once", greedy());
  expect_same(last, expected);
  expect_same(task.get(), expected);
  EXPECT_EQ(metadata.get().model_id, llm_.id());
}

TEST_F(HttpClient, DroppedStreamsEndTheRequest) {
  const GenerateOptions endless{.max_new_tokens = 100'000, .ignore_eos = true};
  {
    GenerationStream stream = client_->generate_iterator("Once", endless);
    ASSERT_NE(stream.next(), nullptr);
    Generator<StreamingResponse> tokens = client_->generate_stream("Once", endless);
    ASSERT_NE(tokens.next(), nullptr);
    const Task<GenerationOutput> dropped = async_->generate("Once", endless);
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
}

TEST_F(HttpClient, APatchChangesTheServersDefaults) {
  const LLMConfig patch{.max_new_tokens = 5, .temperature = 0.0F};
  const GenerateOptions same{.max_new_tokens = 5, .temperature = 0.0F};
  const std::string expected = llm_.generate("Once", same).outputs[0].text;
  EXPECT_EQ(client_->generate("Once", {}, {.llm_config = patch}).outputs[0].text, expected);
  EXPECT_EQ(async_->generate("Once", {}, {.llm_config = patch}).get().outputs[0].text, expected);
  EXPECT_EQ(client_->generate("Once", {.max_new_tokens = 2}, {.llm_config = patch})
                .outputs[0]
                .token_ids.size(),
            2U);
}

/// Options that are made within the expression, which some compilers get wrong.
Task<std::size_t> ask_in_place(const AsyncHTTPClient& client) {
  const LLMConfig patch{.max_new_tokens = 5, .suppress_tokens = {300, 301, 302, 303, 304}};
  const GenerationOutput output = co_await client.generate(
      "Once", {.request_id = std::string("a name that is not short at all")},
      {.llm_config = patch});
  EXPECT_EQ(output.request_id, "a name that is not short at all");
  co_return output.outputs[0].token_ids.size();
}

TEST_F(HttpClient, OptionsMayBeMadeWhereTheyAreAwaited) {
  EXPECT_EQ(ask_in_place(*async_).get(), 5U);
}

TEST_F(HttpClient, SaysWhatTheServerIs) {
  EXPECT_TRUE(client_->health());
  EXPECT_TRUE(client_->is_ready());
  EXPECT_TRUE(async_->health().get());
  EXPECT_TRUE(async_->is_ready().get());
  for (const Metadata& metadata : {client_->metadata(), async_->metadata().get()}) {
    EXPECT_EQ(metadata.model_id, llm_.id());
    EXPECT_EQ(metadata.model_name, llm_.llm_type());
    EXPECT_EQ(metadata.backend, "native");
    const LLMConfig config = llm_.config();
    EXPECT_EQ(metadata.configuration.max_new_tokens, config.max_new_tokens);
    EXPECT_EQ(metadata.configuration.temperature, config.temperature);
    EXPECT_EQ(metadata.configuration.top_k, config.top_k);
    // It may be sent back: a request with it is one without it.
    const GenerateOptions seeded{.seed = 5};
    EXPECT_EQ(
        client_->generate("Once", seeded, {.llm_config = metadata.configuration}).outputs[0].text,
        llm_.generate("Once", seeded).outputs[0].text);
  }
  EXPECT_EQ((*client_)["max_new_tokens"], "128");
  EXPECT_EQ((*client_)["backend"], "native");
  EXPECT_EQ((*async_)["max_new_tokens"].get(), "128");
  EXPECT_THROW((*client_)["no_such_thing"], Error);
  EXPECT_THROW((void)(*async_)["no_such_thing"].get(), Error);
}

TEST_F(HttpClient, MessagesBecomeAPrompt) {
  EXPECT_EQ(client_->helpers().messages(kChat), "user: Hi\n");
  EXPECT_EQ(client_->helpers().messages(kChat, true), "user: Hi\nassistant: ");
  EXPECT_EQ(async_->helpers().messages(kChat, true).get(), "user: Hi\nassistant: ");
}

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST_F(HttpClient, ErrorsAreTheServers) {
  const GenerateOptions wrong{.stop = {{std::string()}}};
  EXPECT_EQ(code_of([&] { client_->generate("a", wrong); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { client_->generate_iterator("a", wrong).next(); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { client_->generate_stream("a", wrong).next(); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)async_->generate("a", wrong).get(); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { client_->generate("a", {.adapter_name = {"missing"}}); }),
            ErrorCode::kNotFound);
  HTTPClientOptions other = options();
  other.model = "gpt-5";
  EXPECT_EQ(code_of([&] { HTTPClient(other).generate("a"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { (void)HTTPClient(other).metadata(); }), ErrorCode::kNotFound);
}

TEST_F(HttpClient, ClosedOnesSaySo) {
  GenerationStream stream = client_->generate_iterator("Once", greedy());
  client_->close();
  async_->close();
  EXPECT_TRUE(client_->is_closed());
  EXPECT_TRUE(async_->is_closed());
  EXPECT_FALSE(client_->is_ready());
  EXPECT_FALSE(async_->is_ready().get());
  const auto is_refused = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidArgument &&
             std::string(error.what()).find("was closed") != std::string::npos;
    }
    return false;
  };
  EXPECT_TRUE(is_refused([&] { client_->generate("a"); }));
  EXPECT_TRUE(is_refused([&] { client_->generate_iterator("a"); }));
  EXPECT_TRUE(is_refused([&] { (void)client_->health(); }));
  EXPECT_TRUE(is_refused([&] { (void)client_->metadata(); }));
  EXPECT_TRUE(is_refused([&] { (void)client_->helpers().messages(kChat); }));
  EXPECT_TRUE(is_refused([&] { (void)async_->generate("a"); }));
  EXPECT_TRUE(is_refused([&] { (void)async_->metadata().get(); }));
  GenerationOutput last;
  while (const GenerationOutput* output = stream.next()) last = *output;
  EXPECT_EQ(last.outputs[0].finish_reason, FinishReason::kLength) << "what ran goes on";
  const HTTPClient other = std::move(*client_);
  EXPECT_EQ(code_of([&] { (void)client_->is_closed(); }), ErrorCode::kInvalidArgument);
}

TEST_F(HttpClient, KeysAreSent) {
  ServerOptions server;
  server.api_keys = {"secret"};
  start(server);
  HTTPClientOptions keyed = options();
  EXPECT_EQ(code_of([&] { HTTPClient(keyed).generate("a"); }), ErrorCode::kInvalidArgument);
  keyed.auth_token = "secret";
  EXPECT_TRUE(HTTPClient(keyed).generate("a", {.max_new_tokens = 1}).finished);
}

TEST_F(HttpClient, ChoicesOfTheBestComeAtOnce) {
  const GenerateOptions best{.max_new_tokens = 4, .seed = 1, .n = 2, .best_of = 4};
  const GenerationOutput expected = llm_.generate("Once", best);
  const GenerationOutput got = async_->generate("Once", best).get();
  EXPECT_EQ(got.outputs[0].text, expected.outputs[0].text);
  EXPECT_EQ(got.outputs[1].text, expected.outputs[1].text);
}

using NotInheritedHttp = HttpClient;

TEST_F(NotInheritedHttp, N22TheLastEventRepeatsNothingAndReasonsComeOnce) {
  for (int round = 0; round < 5; ++round) {
    const std::string body =
        R"({"prompt":"Once","llm_config":{"n":3,"seed":3,"max_new_tokens":30},"stop":["."]})";
    std::vector<std::string> texts(3);
    std::vector<int> n_reasons(3);
    for (const base::Json& event : chunks_of(ask(post("/v1/generate_stream", body)))) {
      for (const base::Json& chunk : *event.find("outputs")->if_array()) {
        const std::size_t index = std::stoul(str(chunk, {"index"}));
        texts[index] += str(chunk, {"text"});
        n_reasons[index] += chunk.find("finish_reason")->is_null() ? 0 : 1;
      }
    }
    const GenerationOutput expected =
        llm_.generate("Once", {.max_new_tokens = 30, .seed = 3, .n = 3, .stop = {{"."}}});
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(texts[i], expected.outputs[i].text);
    EXPECT_THAT(n_reasons, ::testing::Each(1));
  }
}

}  // namespace
}  // namespace openllm::contract
