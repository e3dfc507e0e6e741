// One LLM over places: the engine here and a server of ours.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

class PlacesTest : public ServerTest {
 protected:
  PlacesTest() {
    start({.max_wait_s = 0});  // however slow this machine is
    LoadOptions load;
    load.places = {url(), "native"};
    both_ = make_llm(load);
    load.places = {url()};
    there_ = make_llm_of_servers(load);
  }
  static LLM make_llm_of_servers(LoadOptions load) {
    load.chat_template = kTemplate;
    return LLM(OPENLLM_TEST_DATA "/stories260K/hf", load);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }
  PlaceStats place(std::size_t i) const { return both_.stats().places.at(i); }

  LLM both_ = llm_;
  LLM there_ = llm_;
};

void expect_same(const GenerationOutput& got, const GenerationOutput& wanted) {
  ASSERT_EQ(got.outputs.size(), wanted.outputs.size());
  for (std::size_t i = 0; i < got.outputs.size(); ++i) {
    EXPECT_EQ(got.outputs[i].token_ids, wanted.outputs[i].token_ids);
    EXPECT_EQ(got.outputs[i].text, wanted.outputs[i].text);
    EXPECT_EQ(got.outputs[i].finish_reason, wanted.outputs[i].finish_reason);
    EXPECT_NEAR(got.outputs[i].cumulative_logprob, wanted.outputs[i].cumulative_logprob, 1e-3);
  }
  ASSERT_EQ(got.prompt_logprobs.has_value(), wanted.prompt_logprobs.has_value());
  if (got.prompt_logprobs) {
    EXPECT_EQ(got.prompt_logprobs->size(), wanted.prompt_logprobs->size());
  }
}

TEST_F(PlacesTest, AnswersAreTheSameWhereverTheyAreMade) {
  const std::vector<GenerateOptions> requests{
      {.max_new_tokens = 24, .temperature = 0.0F, .logprobs = 2},
      {.max_new_tokens = 24, .temperature = 0.9F, .seed = 7, .n = 3},
      {.max_new_tokens = 40, .temperature = 0.0F, .stop = {" the"}},
      {.max_new_tokens = 0, .temperature = 0.0F, .prompt_logprobs = 1},
      {.max_new_tokens = 8, .min_new_tokens = 8, .temperature = 0.0F, .presence_penalty = 0.5F}};
  for (const GenerateOptions& options : requests) {
    const GenerationOutput wanted = llm_.generate("Once upon a time", options);
    for (const char* prompt : {"Once upon a time", "There was", "A cat"}) {
      expect_same(both_.generate(prompt, options), llm_.generate(prompt, options));
      expect_same(there_.generate("Once upon a time", options), wanted);
    }
  }
  EXPECT_EQ(both_.backend().name, "places");
  EXPECT_EQ(both_.backend().reason, "places are named");
  EXPECT_EQ(both_.info().max_context, llm_.info().max_context);
}

TEST_F(PlacesTest, WhatOnlyOneCanIsMadeThereAndWhatNoneCanIsRefused) {
  const GenerateOptions options{
      .max_new_tokens = 8, .temperature = 0.8F, .typical_p = 0.5F, .seed = 3};
  expect_same(both_.generate("Once", options), llm_.generate("Once", options));
  EXPECT_EQ(place(0).n_requests, 0);
  EXPECT_EQ(place(1).n_requests, 1);
  EXPECT_EQ(both_.logits({1, 2, 3}), llm_.logits({1, 2, 3}));
  try {
    (void)there_.generate("Once", options);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "typical_p");
    EXPECT_THAT(error.what(), HasSubstr("the backend places cannot do that"));
  }
}

TEST_F(PlacesTest, StatsSayWhatEachDoes) {
  both_.load();
  EXPECT_TRUE(place(0).is_up) << place(0).reason;
  EXPECT_TRUE(place(1).is_up);
  EXPECT_EQ(place(0).name, url());
  EXPECT_EQ(place(0).n_slots, llm_.stats().max_running);
  EXPECT_THAT(place(0).reason, HasSubstr("context " + std::to_string(llm_.info().max_context)));
  (void)both_.generate("Once", {.max_new_tokens = 5, .temperature = 0.0F, .ignore_eos = true});
  EXPECT_EQ(place(0).n_generated_tokens + place(1).n_generated_tokens, 5);
  EXPECT_EQ(both_.stats().n_finished, 1);
  both_.unload();
  EXPECT_TRUE(both_.stats().places.empty());
}

TEST_F(PlacesTest, UnloadingEndsWhatRuns) {
  std::vector<GenerationStream> streams;
  for (int i = 0; i < 4; ++i) {
    streams.push_back(
        both_.generate_iterator("Once " + std::to_string(i),
                                {.max_new_tokens = 400, .temperature = 0.0F, .ignore_eos = true}));
    ASSERT_NE(streams.back().next(), nullptr);
  }
  both_.unload();
  for (GenerationStream& stream : streams) {
    try {
      while (stream.next() != nullptr) {
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      EXPECT_THAT(error.what(), HasSubstr("was unloaded"));
    }
  }
}

}  // namespace
}  // namespace openllm::contract
