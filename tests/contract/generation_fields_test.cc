// Fields that rule the choice of tokens: over HTTP they do what they do in the library.

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

#include "openllm/client.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using Ids = std::vector<std::int32_t>;

class GenerationOverHttp : public ServerTest {
 protected:
  GenerationOverHttp() {
    start();
    client_ = std::make_unique<Client>(
        ClientOptions{.address = "127.0.0.1:" + std::to_string(port()), .max_retries = 0});
  }
  static GenerateOptions sampled() {
    return {.max_new_tokens = 12, .temperature = 1.0F, .seed = 5, .ignore_eos = true};
  }
  void expect_same(const GenerateOptions& options) const {
    const GenerationOutput want = llm_.generate("Once upon", options);
    for (const GenerationOutput& got :
         {client_->generate("Once upon", options),
          client_->async_generate("Once upon", options).get(),
          client_->generate_stream("Once upon", options, [](const auto&) { return true; })}) {
      ASSERT_EQ(got.outputs.size(), want.outputs.size());
      for (std::size_t i = 0; i < got.outputs.size(); ++i) {
        EXPECT_EQ(got.outputs[i].text, want.outputs[i].text);
        EXPECT_EQ(got.outputs[i].token_ids, want.outputs[i].token_ids);
      }
    }
  }
  /// "status param" of an error.
  std::string refusal(const std::string& members) const {
    const Answer answer = complete(R"({"prompt":"Once upon",)" + members + "}");
    return std::to_string(answer.status) + " " + str(answer.json(), {"error", "param"});
  }
  std::unique_ptr<Client> client_;
};

TEST_F(GenerationOverHttp, RulesAndCutOffs) {
  GenerateOptions options = sampled();
  options.typical_p = 0.7F;
  options.epsilon_cutoff = 0.01F;
  options.eta_cutoff = 0.02F;
  options.no_repeat_ngram_size = 2;
  options.bad_words_ids = std::vector<Ids>{{403}, {407, 261}};
  options.bad_words = std::vector<std::string>{"there"};
  options.sequence_bias = std::map<Ids, float>{{{300}, 1.5F}, {{407, 9}, -2.0F}};
  options.suppress_tokens = Ids{402};
  options.begin_suppress_tokens = Ids{261};
  options.forced_eos_token_id = Ids{5};
  expect_same(options);
  EXPECT_EQ(llm_.generate("Once upon", options).outputs[0].token_ids.back(), 5);
}

TEST_F(GenerationOverHttp, LengthsAndTexts) {
  GenerateOptions options{.max_length = 20, .min_length = 15, .temperature = 0.0F};
  options.exponential_decay_length_penalty = LengthDecay{2, 1.5F};
  expect_same(options);
  options = sampled();
  options.allowed_token_ids = Ids{261, 403, 426, 429};
  options.clean_up_tokenization_spaces = true;
  options.stream_interval = 5;
  expect_same(options);
}

TEST_F(GenerationOverHttp, TheBestOfMoreAnswersIsNoStream) {
  GenerateOptions options = sampled();
  options.n = 2;
  options.best_of = 5;
  expect_same(options);
  EXPECT_EQ(refusal(R"("best_of":3,"n":2,"stream":true)"), "400 best_of");
  EXPECT_EQ(refusal(R"("best_of":2,"n":3)"), "400 best_of");
  const Answer whole =
      complete(R"({"prompt":"Once","best_of":4,"max_tokens":3,"ignore_eos":true})");
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.json().find("choices")->if_array()->size(), 1U);
  EXPECT_EQ(str(whole.json(), {"usage", "completion_tokens"}), "12");
}

TEST_F(GenerationOverHttp, EventsComeEverySoManyTokens) {
  const Answer stream = complete(
      R"({"prompt":"Once","max_tokens":30,"temperature":0,"ignore_eos":true,"stream":true,
          "stream_interval":10})");
  EXPECT_LE(chunks_of(stream).size(), 5U);  // 1, 10, 10, 9, and what else the API sends
}

TEST_F(GenerationOverHttp, WhatMakesNoSenseIsNamed) {
  EXPECT_EQ(refusal(R"("max_tokens":5,"max_length":9)"), "400 max_length");
  EXPECT_EQ(refusal(R"("max_length":1)"), "400 max_length");
  EXPECT_EQ(refusal(R"("min_length":100)"), "400 min_length");
  EXPECT_EQ(refusal(R"("suppress_tokens":[512])"), "400 suppress_tokens");
  EXPECT_EQ(refusal(R"("allowed_token_ids":[5],"suppress_tokens":[5])"), "400 suppress_tokens");
  EXPECT_EQ(refusal(R"("forced_bos_token_id":-1)"), "400 forced_bos_token_id");
  // The only tokens that may come have come.
  EXPECT_EQ(refusal(R"("allowed_token_ids":[5,6],"no_repeat_ngram_size":1,"ignore_eos":true)"),
            "400 allowed_token_ids");
}

}  // namespace
}  // namespace openllm::contract
