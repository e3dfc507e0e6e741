// The backend pt behind LLM and a server, with a program in place of the interpreter.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using Ids = std::vector<std::int32_t>;

LLM fake_pt() {
  LoadOptions load{.backend = "pt"};
  load.pt.python = OPENLLM_TEST_DATA "/pt/fake_python";
  load.pt.device = "cpu";
  return LLM(OPENLLM_TEST_DATA "/models/llama", load);
}

class PtBehindServers : public ServerTest {
 protected:
  PtBehindServers() { llm_ = fake_pt(); }
};

/// A step that never ends, the second one of its request: whatever is answered meanwhile did not
/// wait for it.
TEST_F(PtBehindServers, N42HttpIsAnsweredWhileAStepRuns) {
  start();
  Probe stuck(port());
  stuck.send(post(
      "/v1/generate",
      R"({"prompt_token_ids":[1],"llm_config":{"logit_bias":{"93":100},"max_new_tokens":4}})"));
  ASSERT_TRUE(eventually([&] { return llm_.stats().n_running == 1; }));
  for (int i = 0; i < 50; ++i) ASSERT_EQ(ask(get("/healthz")).status, 200);
  EXPECT_EQ(ask(get("/v1/models")).status, 200);
  EXPECT_EQ(ask(get("/metrics")).status, 200);
  EXPECT_EQ(complete(R"({"prompt":[1],"top_k":"many"})").status, 400);
  EXPECT_EQ(llm_.stats().n_running, 1);
  llm_.unload();  // ends the step
}

TEST(PtSampling, N43WithoutASeedAnswersDifferAndWithOneTheyAreEqual) {
  const LLM llm = fake_pt();
  GenerateOptions options{.max_new_tokens = 24, .temperature = 2.0F, .ignore_eos = true};
  const auto ids = [&] { return llm.generate(Ids{3, 4, 5}, options).outputs[0].token_ids; };
  EXPECT_NE(ids(), ids());
  options.seed = 7;
  const Ids seeded = ids();
  EXPECT_EQ(ids(), seeded);
  options.seed = 8;
  EXPECT_NE(ids(), seeded);
  options.n = 2;
  const GenerationOutput two = llm.generate(Ids{3, 4, 5}, options);
  EXPECT_NE(two.outputs[0].token_ids, two.outputs[1].token_ids);
}

}  // namespace
}  // namespace openllm::contract
