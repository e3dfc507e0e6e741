// Every option of a request reaches the engine, over the model's configuration.

#include <gmock/gmock.h>

#include "base/error.h"
#include "llm/engine_request.h"
#include "llm/llm_config.h"

namespace openllm::llm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class EndingTokenizer final : public tokenizer::Tokenizer {
 public:
  std::vector<tokenizer::TokenId> encode(std::string_view,
                                         const tokenizer::EncodeOptions&) const override {
    return {};
  }
  std::vector<tokenizer::LocatedToken> encode_with_offsets(
      std::string_view, const tokenizer::EncodeOptions&) const override {
    return {};
  }
  int vocab_size() const noexcept override { return 100; }
  std::string_view token_bytes(tokenizer::TokenId) const noexcept override { return "a"; }
  std::string_view token_piece(tokenizer::TokenId) const noexcept override { return "a"; }
  std::optional<tokenizer::TokenId> find_token(std::string_view) const noexcept override {
    return std::nullopt;
  }
  bool is_special(tokenizer::TokenId) const noexcept override { return false; }
  bool strips_leading_space() const noexcept override { return false; }
  std::optional<tokenizer::TokenId> bos_id() const noexcept override { return std::nullopt; }
  const std::vector<tokenizer::TokenId>& eos_ids() const noexcept override { return ids_; }
  std::string_view bos_piece() const noexcept override { return {}; }
  std::string_view eos_piece() const noexcept override { return {}; }

 private:
  std::vector<tokenizer::TokenId> ids_ = {2, 7};
};

LLMConfig resolved(LLMConfig model = {}) {
  ConfigLayers layers;
  layers.model = std::move(model);
  return resolve_config(layers);
}

engine::Request request_of(const GenerateOptions& options, const LLMConfig& config = resolved(),
                           bool is_chat = false) {
  static const EndingTokenizer tokenizer;
  return make_engine_request(options, config, is_chat, {500, 100}, &tokenizer);
}

TEST(EngineRequest, StopTokensAreAllThatEndAnAnswer) {
  const LLMConfig config = resolved({.eos_token_ids = {9, 2}});
  GenerateOptions options;
  EXPECT_THAT(request_of(options, config).stop_token_ids, ElementsAre(2, 7, 9));
  options.stop_token_ids = std::vector<std::int32_t>{40, 7, 3};
  EXPECT_THAT(request_of(options, config).stop_token_ids, ElementsAre(2, 3, 7, 9, 40));
  options.ignore_eos = true;  // the request's own stay
  EXPECT_THAT(request_of(options, config).stop_token_ids, ElementsAre(3, 7, 40));
  options.stop_token_ids = std::vector<std::int32_t>{};
  EXPECT_THAT(request_of(options, config).stop_token_ids, IsEmpty());
  options.ignore_eos = false;
  EXPECT_THAT(make_engine_request(options, config, false, {500, 100}, nullptr).stop_token_ids,
              ElementsAre(2, 9));
}

TEST(EngineRequest, N25EachOptionIsPassedOnOverTheConfiguration) {
  LLMConfig model;
  model.max_new_tokens = 11;
  model.min_new_tokens = 1;
  model.temperature = 0.25F;
  model.top_k = 3;
  model.top_p = 0.5F;
  model.min_p = 0.125F;
  model.repetition_penalty = 1.5F;
  model.presence_penalty = 0.75F;
  model.frequency_penalty = -0.5F;
  const LLMConfig config = resolved(model);
  const engine::Request plain = request_of({}, config);
  EXPECT_EQ(plain.max_new_tokens, 11);
  EXPECT_EQ(plain.min_new_tokens, 1);
  EXPECT_EQ(plain.sampling.temperature, 0.25F);
  EXPECT_EQ(plain.sampling.top_k, 3);
  EXPECT_EQ(plain.sampling.top_p, 0.5F);
  EXPECT_EQ(plain.sampling.min_p, 0.125F);
  EXPECT_EQ(plain.sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(plain.sampling.presence_penalty, 0.75F);
  EXPECT_EQ(plain.sampling.frequency_penalty, -0.5F);
  EXPECT_EQ(plain.n_choices, 1);
  EXPECT_EQ(plain.n_logprobs, 0);
  EXPECT_EQ(plain.n_prompt_logprobs, -1);
  EXPECT_EQ(plain.priority, 0);
  EXPECT_EQ(plain.tenant + plain.group + plain.cache_salt, "");
  EXPECT_FALSE(plain.max_wait.has_value());

  GenerateOptions options;
  options.max_new_tokens = 12;
  options.min_new_tokens = 2;
  options.temperature = 0.5F;
  options.top_k = 4;
  options.top_p = 0.75F;
  options.min_p = 0.25F;
  options.repetition_penalty = 1.25F;
  options.presence_penalty = 0.5F;
  options.frequency_penalty = 0.25F;
  options.logit_bias = std::map<std::int32_t, float>{{5, 1.0F}, {6, -2.0F}};
  options.seed = 77;
  options.n = 6;
  options.logprobs = 8;
  options.prompt_logprobs = 9;
  options.priority = -3;
  options.tenant = std::string("t");
  options.group = std::string("g");
  options.cache_salt = std::string("s");
  options.max_wait = std::chrono::milliseconds(77);
  const engine::Request r = request_of(options, config);
  EXPECT_EQ(r.max_new_tokens, 12);
  EXPECT_EQ(r.min_new_tokens, 2);
  EXPECT_EQ(r.sampling.temperature, 0.5F);
  EXPECT_EQ(r.sampling.top_k, 4);
  EXPECT_EQ(r.sampling.top_p, 0.75F);
  EXPECT_EQ(r.sampling.min_p, 0.25F);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.25F);
  EXPECT_EQ(r.sampling.presence_penalty, 0.5F);
  EXPECT_EQ(r.sampling.frequency_penalty, 0.25F);
  EXPECT_THAT(r.sampling.logit_bias, ElementsAre(std::pair(5, 1.0F), std::pair(6, -2.0F)));
  EXPECT_EQ(r.sampling.seed, 77U);
  EXPECT_EQ(r.n_choices, 6);
  EXPECT_EQ(r.n_logprobs, 8);
  EXPECT_EQ(r.n_prompt_logprobs, 9);
  EXPECT_EQ(r.priority, -3);
  EXPECT_EQ(r.tenant, "t");
  EXPECT_EQ(r.group, "g");
  EXPECT_EQ(r.cache_salt, "s");
  EXPECT_EQ(r.max_wait, std::chrono::milliseconds(77));
}

TEST(EngineRequest, ConversationsGoOnToTheEndUnlessTheyHaveALimit) {
  const LLMConfig config = resolved({.max_new_tokens = 11});
  EXPECT_EQ(request_of({}, config, true).max_new_tokens, 500);
  EXPECT_EQ(request_of({.max_new_tokens = 7}, config, true).max_new_tokens, 7);
  EXPECT_EQ(request_of({.max_new_tokens = 0}, config, true).max_new_tokens, 0);
}

TEST(EngineRequest, MinusOneIsTheWholeContext) {
  for (const bool is_chat : {false, true})
    EXPECT_EQ(request_of({.max_new_tokens = -1}, resolved(), is_chat).max_new_tokens, 500);
  EXPECT_EQ(request_of({}, resolved({.max_new_tokens = -1})).max_new_tokens, 500);
}

TEST(EngineRequest, SeedsThatAreNotGivenDiffer) {
  EXPECT_EQ(request_of({.seed = 0}).sampling.seed, 0U);
  EXPECT_NE(request_of({}).sampling.seed, request_of({}).sampling.seed);
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  for (int i = 0; i < 8; ++i) {
    high |= random_seed() >> 32U;
    low |= random_seed() & 0xFFFFFFFFU;
  }
  EXPECT_NE(high, 0U);
  EXPECT_NE(low, 0U);
}

}  // namespace
}  // namespace openllm::llm
