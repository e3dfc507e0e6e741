// The client against the server.

#include "openllm/client.h"

#include <gmock/gmock.h>

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
  EXPECT_THROW(client.generate(std::vector<std::int32_t>{1, 2}), Error);
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

TEST_F(ClientTest, NobodyThere) {
  ClientOptions options;
  options.address = "http://127.0.0.1:1";
  options.max_retries = 0;
  const Client client(options);
  EXPECT_FALSE(client.health());
  EXPECT_THROW(client.models(), Error);
}

}  // namespace
}  // namespace openllm::contract
