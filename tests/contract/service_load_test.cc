// A service under load: its own endpoint and the built-in routes at once.

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "openllm/service.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

constexpr int kEach = 100;
constexpr int kTokens = 24;
constexpr int kSeeds = 10;

GenerateOptions sampled(int i) {
  GenerateOptions options;
  options.max_new_tokens = kTokens;
  options.temperature = 0.9F;
  options.seed = static_cast<std::uint64_t>(i % kSeeds);
  options.ignore_eos = true;
  return options;
}

struct Ask {
  std::string prompt;
  int number = 0;
};
OPENLLM_FIELDS(Ask, prompt, number)

std::string prompt_of(int i) { return i % 2 == 0 ? "Once upon a time" : "One day, a little girl"; }

std::string own_call(int i) {
  base::Json body = base::Json::object();
  body["prompt"] = prompt_of(i);
  body["number"] = i;
  return post("/ask", body.dump());
}

std::string openai_call(int i) {
  base::Json body = base::Json::object();
  body["prompt"] = prompt_of(i);
  body["max_tokens"] = kTokens;
  body["temperature"] = 0.9;
  body["seed"] = i % kSeeds;
  body["ignore_eos"] = true;
  return post("/v1/completions", body.dump());
}

TEST(ServiceLoad, AHundredCallsAndAHundredCompletionsAreAnsweredAsAloneAndShareSteps) {
  const LLM alone = make_llm();
  Gate gate;  // the model is there when all have come
  LoadOptions load;
  load.progress = [&](const std::string& stage, double /*fraction*/) {
    if (stage == "ready") gate.pass();
  };
  const LLM llm = make_llm(load);
  Service service("load", {llm.runner()});
  service.api("/ask", [llm](Ask ask, Context& context) -> Task<std::string> {
    const GenerateOptions options = context.options(sampled(ask.number));
    GenerationOutput output = co_await llm.async_generate(ask.prompt, options);
    co_return output.outputs[0].text;
  });
  // By default those that would wait longer than two seconds are told to come again.
  service.start({.port = 0, .max_wait_s = 0});
  std::vector<std::unique_ptr<Probe>> own;
  std::vector<std::unique_ptr<Probe>> openai;
  for (int i = 0; i < kEach; ++i) {
    own.push_back(std::make_unique<Probe>(service.port()));
    own.back()->send(own_call(i));
    openai.push_back(std::make_unique<Probe>(service.port()));
    openai.back()->send(openai_call(i));
  }
  gate.release();
  for (int i = 0; i < kEach; ++i) {
    const std::string expected = alone.generate(prompt_of(i), sampled(i)).outputs[0].text;
    const Answer mine = own[static_cast<std::size_t>(i)]->read_answer();
    EXPECT_EQ(mine.status, 200) << mine.body;
    EXPECT_EQ(mine.body, expected);
    const Answer theirs = openai[static_cast<std::size_t>(i)]->read_answer();
    EXPECT_EQ(str(whole_of(theirs), {"choices", "0", "text"}), expected);
  }
  const EngineStats stats = llm.stats();
  EXPECT_EQ(stats.n_requests, 2 * kEach);
  EXPECT_GT(stats.n_step_sequences, 2 * stats.n_steps);  // the mean batch; alone above 8
}

}  // namespace
}  // namespace openllm::contract
