// Faults that OpenLLM 0.4 had, by the numbers of the list of those not to inherit, where no test of
// a layer shows that they are not here: by the library and over HTTP, on a real model.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <string>
#include <vector>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Ids = std::vector<std::int32_t>;

class NotInheritedByServers : public ServerTest {
 protected:
  static GenerateOptions greedy(int n) {
    return {.max_new_tokens = n, .temperature = 0.0F, .ignore_eos = true};
  }
  Answer complete_with(const std::string& members) const {
    return complete(R"({"prompt":"Once upon","max_tokens":6,"temperature":0,)" + members + "}");
  }
  Answer native(const std::string& members) const {
    return ask(post("/v1/generate", R"({"prompt":"Once upon",)" + members +
                                        R"("llm_config":{"max_new_tokens":6,"temperature":0}})"));
  }
};

TEST_F(NotInheritedByServers, N17NoStopIsNoStopAndAWrongOneIsNamed) {
  start();
  const std::string text = llm_.generate("Once upon", greedy(6)).outputs[0].text;
  for (const char* none : {R"("stop":null)", R"("stop":[])"}) {
    EXPECT_EQ(str(whole_of(complete_with(none)), {"choices", "0", "text"}), text) << none;
    EXPECT_EQ(str(whole_of(native(std::string(none) + ",")), {"outputs", "0", "text"}), text);
  }
  EXPECT_EQ(str(whole_of(native("")), {"outputs", "0", "text"}), text);
  for (const char* wrong :
       {R"("stop":7)", R"("stop":[7])", R"("stop":{"a":1})", R"("stop":true)"}) {
    for (const Answer& answer :
         {complete_with(wrong), native(std::string(wrong) + ","), chat(with_members(kHi, wrong))}) {
      EXPECT_EQ(answer.status, 400) << wrong;
      EXPECT_THAT(str(answer.json(), {"error", "param"}), HasSubstr("stop")) << wrong;
    }
  }
}

TEST_F(NotInheritedByServers, N21TheLastOutputIsFinishedWithAReasonAndLosesNothing) {
  for (const int n : {1, 2, 7}) {
    GenerateOptions options = greedy(n);
    options.n = 2;
    const GenerationOutput whole = llm_.generate("Once upon", options);
    std::vector<std::string> texts(2);
    bool was_finished = false;
    for (const GenerationOutput& output : llm_.generate_iterator("Once upon", options)) {
      EXPECT_FALSE(was_finished);
      was_finished = output.finished;
      for (std::size_t i = 0; i < 2; ++i) texts[i] += output.outputs[i].delta;
      if (!output.finished) continue;
      for (const CompletionChunk& chunk : output.outputs) {
        EXPECT_EQ(chunk.finish_reason, FinishReason::kLength);
        EXPECT_EQ(chunk.token_ids.size(), static_cast<std::size_t>(n));
      }
    }
    EXPECT_TRUE(was_finished);
    EXPECT_THAT(texts, ElementsAre(whole.outputs[0].text, whole.outputs[1].text));
  }
}

TEST_F(NotInheritedByServers, N23RequestIdAndPromptTokensAreFilled) {
  GenerateOptions options = greedy(2);
  options.request_id = "mine";
  const GenerationOutput output = llm_.generate("Once upon", options);
  EXPECT_EQ(output.request_id, "mine");
  EXPECT_EQ(output.prompt_token_ids, llm_.tokenize("Once upon"));
  EXPECT_NE(llm_.generate("Once", greedy(1)).request_id, "");
  start();
  const std::string id = R"("request_id":"mine")";
  EXPECT_EQ(str(whole_of(native(id + ",")), {"request_id"}), "mine");
  EXPECT_EQ(str(whole_of(complete_with(id)), {"id"}), "cmpl-mine");
  EXPECT_EQ(str(whole_of(chat(with_members(kHi, id))), {"id"}), "chatcmpl-mine");
  for (const base::Json& chunk : chunks_of(complete_with(id + R"(,"stream":true)")))
    EXPECT_EQ(str(chunk, {"id"}), "cmpl-mine");
}

TEST_F(NotInheritedByServers, N27PromptLogprobsAreOfTheTokensBefore) {
  const Ids ids = {1, 403, 407, 261, 378};
  GenerateOptions options = greedy(1);
  options.prompt_logprobs = 2;
  const GenerationOutput output = llm_.generate(ids, options);
  ASSERT_TRUE(output.prompt_logprobs);
  ASSERT_EQ(output.prompt_logprobs->size(), ids.size());
  EXPECT_TRUE(output.prompt_logprobs->front().empty());
  const std::vector<float> logits = llm_.logits(ids);
  const std::size_t n_vocab = logits.size() / ids.size();
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>((i - 1) * n_vocab);
    double sum = 0.0;
    for (std::size_t v = 0; v < n_vocab; ++v)
      sum += std::exp(static_cast<double>(row[static_cast<std::ptrdiff_t>(v)]));
    const TokenLogprobs& list = (*output.prompt_logprobs)[i];
    EXPECT_EQ(list.front().token_id, ids[i]);
    EXPECT_GE(list.size(), 2U);  // and others, not the prompt's token alone
    for (const TokenLogprob& entry : list) {
      const double expected = static_cast<double>(row[entry.token_id]) - std::log(sum);
      EXPECT_NEAR(static_cast<double>(entry.logprob), expected, 1e-4) << i;
    }
  }
}

TEST_F(NotInheritedByServers, N29TokensAreThoseOfTheAnswerAlone) {
  const Ids prompt = {1, 403, 407};
  const GenerationOutput whole = llm_.generate(prompt, greedy(5));
  EXPECT_EQ(whole.outputs[0].token_ids.size(), 5U);
  EXPECT_EQ(whole.prompt_token_ids, prompt);
  Ids last;
  for (const GenerationOutput& output : llm_.generate_iterator(prompt, greedy(5)))
    last = output.outputs[0].token_ids;
  EXPECT_EQ(last, whole.outputs[0].token_ids);
  start();
  const base::Json json =
      whole_of(complete(R"({"prompt":[1,403,407],"max_tokens":5,"temperature":0,"ignore_eos":true,)"
                        R"("return_token_ids":true})"));
  EXPECT_EQ(json.find("choices")->as_array("")[0].find("token_ids")->if_array()->size(), 5U);
}

TEST_F(NotInheritedByServers, N31UsageIsThatOfAllChoices) {
  start();
  const std::string several = R"("n":3,"ignore_eos":true)";
  const base::Json whole = whole_of(complete_with(several));
  EXPECT_EQ(str(whole, {"usage", "completion_tokens"}), "18");
  EXPECT_EQ(str(whole, {"usage", "prompt_tokens"}),
            std::to_string(llm_.tokenize("Once upon").size()));
  EXPECT_EQ(str(chunks_of(complete_with(several + R"(,"stream":true,)"
                                                  R"("stream_options":{"include_usage":true})"))
                    .back(),
                {"usage", "completion_tokens"}),
            "18");
}

TEST_F(NotInheritedByServers, N32CreatedIsATimeOfDay) {
  start();
  const std::int64_t before = std::time(nullptr);
  std::vector<std::string> created = {str(whole_of(complete_with(R"("n":1)")), {"created"}),
                                      str(whole_of(chat(std::string(kHi) + "}")), {"created"})};
  for (const base::Json& chunk : chunks_of(complete_with(R"("stream":true)")))
    created.push_back(str(chunk, {"created"}));
  const std::int64_t after = std::time(nullptr);
  for (const std::string& when : created) {
    EXPECT_GE(std::stoll(when), before);
    EXPECT_LE(std::stoll(when), after);
  }
}

TEST_F(NotInheritedByServers, N33AnErrorWithinAStreamIsAnEvent) {
  const std::string endless = R"("stream":true,"n":128,"ignore_eos":true,"max_tokens":100000})";
  const std::vector<std::string> requests = {
      post("/v1/completions", R"({"prompt":"Once",)" + endless),
      post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"Hi"}],)" + endless)};
  for (const std::string& request : requests) {
    ServerOptions options;
    options.shutdown_timeout_s = 0;
    start(options);
    Probe probe(port());
    probe.send(request);
    ASSERT_TRUE(probe.read_until("data: "));
    server_->stop();
    const std::vector<std::string> all = events(probe.read_answer().body);
    EXPECT_THAT(all.back(), StartsWith(R"({"error":{"message":"server: is shutting down")"));
    EXPECT_EQ(std::count(all.begin(), all.end(), "[DONE]"), 0);
  }
}

TEST_F(NotInheritedByServers, N44NoTokensAndEchoIsThePromptAlone) {
  start();
  const std::string body = R"({"prompt":"Once upon","max_tokens":0,"echo":true)";
  const base::Json whole = whole_of(complete(body + "}"));
  EXPECT_EQ(str(whole, {"choices", "0", "text"}), "Once upon");
  EXPECT_EQ(str(whole, {"choices", "0", "finish_reason"}), "length");
  EXPECT_EQ(str(whole, {"usage", "completion_tokens"}), "0");
  std::string streamed;
  for (const base::Json& chunk : chunks_of(complete(body + R"(,"stream":true})")))
    streamed += str(chunk, {"choices", "0", "text"});
  EXPECT_EQ(streamed, "Once upon");
  EXPECT_EQ(llm_.generate("Once upon", greedy(0)).outputs[0].token_ids, Ids{});
}

TEST_F(NotInheritedByServers, N45AServerListensOnThisMachineAloneUnlessTold) {
  EXPECT_EQ(ServerOptions{}.host, "127.0.0.1");
  start();
  // One that listens everywhere has other addresses of the machine too.
  ServerOptions other;
  other.host = "127.0.0.2";
  other.port = port();
  Server second(llm_, other);
  EXPECT_NO_THROW(second.start());
}

}  // namespace
}  // namespace openllm::contract
