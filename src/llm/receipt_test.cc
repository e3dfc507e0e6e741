// Receipts: what was made under load is made again alone, byte for byte, and what was changed is
// found out.

#include "openllm/receipt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "llm/receipt.h"
#include "openllm/llm.h"
#include "openllm/version.h"

namespace openllm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ids = std::vector<std::int32_t>;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kManyReceipts = 100;
#else
constexpr int kManyReceipts = 1000;
#endif

const LLM& shared_llm() {
  static const LLM llm(kModel, {.n_threads = 1});
  return llm;
}

GenerateOptions with_receipt(GenerateOptions options = {}) {
  options.receipt = true;
  if (!options.max_new_tokens) options.max_new_tokens = 8;
  return options;
}

std::string receipt_of(const GenerateOptions& options, const Prompt& prompt = "Once upon a time") {
  return shared_llm().generate(prompt, with_receipt(options)).receipt;
}

base::Json parsed(const std::string& receipt) { return base::Json::parse(receipt, "receipt"); }

/// The receipt with one thing changed, and written as a forger would: with hashes that fit.
std::string forged(const std::string& receipt, const std::function<void(base::Json&)>& change) {
  base::Json json = parsed(receipt);
  change(json);
  json.if_object()->erase("sha256");
  const std::string digest = llm::sha256_of(json.dump());
  json["sha256"] = digest;
  return json.dump();
}

/// Code and place of the error.
std::string failure(const std::string& receipt) {
  try {
    (void)shared_llm().replay(receipt);
  } catch (const Error& error) {
    return base::cat(to_string(error.code()), " ", error.where());
  }
  return "none";
}

/// A request of any kind that has the same answer alone and among others.
GenerateOptions random_options(std::mt19937& random) {
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  GenerateOptions options = with_receipt({.max_new_tokens = 1 + static_cast<int>(random() % 8)});
  if (chance(20)) options.max_new_tokens = 40;  // longer than what the engine comes to expect
  options.temperature = chance(20) ? 0.0F : 0.5F + static_cast<float>(random() % 100) / 80.0F;
  if (chance(30)) options.top_k = 3 + static_cast<int>(random() % 40);
  if (chance(30)) options.top_p = 0.7F;
  if (chance(20)) options.min_p = 0.013F;
  if (chance(20)) options.repetition_penalty = 1.17F;
  if (chance(20)) options.presence_penalty = 0.3F;
  if (chance(20)) options.frequency_penalty = -0.4F;
  if (chance(15)) options.no_repeat_ngram_size = 2;
  if (chance(15)) options.typical_p = 0.8F;
  if (chance(15)) options.logit_bias = std::map<std::int32_t, float>{{402, -3.5F}, {261, 0.25F}};
  if (chance(15)) options.stop = std::vector<std::string>{"a", "the "};
  if (chance(10)) options.include_stop_in_output = true;
  if (chance(10)) options.stop_token_ids = Ids{261, 403};
  if (chance(10)) options.min_new_tokens = 1;
  if (chance(10)) options.ignore_eos = true;
  if (chance(10)) options.suppress_tokens = Ids{410};
  if (chance(10)) options.bad_words = std::vector<std::string>{"there"};
  if (chance(10)) options.exponential_decay_length_penalty = LengthDecay{2, 1.3F};
  if (chance(30)) options.n = 1 + static_cast<int>(random() % 3);
  if (chance(10)) options.best_of = options.n.value_or(1) + 1;
  if (chance(30)) options.seed = random();
  if (options.ignore_eos) options.exponential_decay_length_penalty.reset();
  options.output_kind = options.best_of || chance(50) ? OutputKind::kFinalOnly : OutputKind::kDelta;
  return options;
}

Prompt random_prompt(std::mt19937& random) {
  constexpr const char* kTexts[] = {
      "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
      "park. One day, she saw",
      "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
      "park. Her mom",
      "The end", "One day"};
  if (random() % 4 == 0) return Ids{1, 403, static_cast<std::int32_t>(300 + random() % 100)};
  return kTexts[random() % 4];
}

TEST(Receipts, MadeUnderLoadReplayAlone) {
  constexpr int kAtOnce = 64;
  // So little memory that sequences have to give their blocks up.
  const LLM llm(kModel, {.n_threads = 2,
                         .max_model_len = 128,
                         .max_sequences = 32,
                         .kv_cache_bytes = 1 << 19,
                         .kv_block_size = 8});
  std::mt19937 random(7);
  std::vector<std::string> receipts;
  while (receipts.size() < kManyReceipts) {
    std::vector<GenerationStream> streams;
    for (int i = 0; i < kAtOnce; ++i)
      streams.push_back(llm.generate_iterator(random_prompt(random), random_options(random)));
    for (GenerationStream& stream : streams) {
      std::string receipt;
      for (const GenerationOutput& output : stream) receipt = output.receipt;
      ASSERT_NE(receipt, "");
      receipts.push_back(std::move(receipt));
    }
  }
  const EngineStats stats = llm.stats();
  EXPECT_GT(stats.n_preemptions, 0);
  EXPECT_GT(stats.n_cached_tokens, 0);
  EXPECT_GT(stats.n_step_sequences, stats.n_steps) << "steps were shared";
  const LLM alone(
      kModel, {.n_threads = 1, .max_model_len = 128, .kv_block_size = 8, .prefix_caching = false});
  receipts.resize(kManyReceipts);
  for (const std::string& receipt : receipts) {
    const ReplayResult result = alone.replay(receipt);
    ASSERT_TRUE(result.same) << "choice " << result.choice << ", token "
                             << result.first_different_token << ": " << receipt;
    ASSERT_THAT(result.notes, IsEmpty());
  }
}

TEST(Receipts, SayWhatTheAnswerWasMadeOf) {
  const GenerationOutput output = shared_llm().generate(
      "Once upon a time", with_receipt({.temperature = 0.9F, .n = 2, .request_id = "mine"}));
  const base::Json receipt = parsed(output.receipt);
  const auto text = [&](const char* object, const char* name) {
    return receipt.find(object)->find(name)->as_string(name);
  };
  EXPECT_EQ(*receipt.find("openllm")->if_string(), version());
  EXPECT_EQ(text("model", "name"), shared_llm().id());
  EXPECT_EQ(text("model", "tag"), shared_llm().tag());
  std::ifstream file(kModel, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(text("model", "sha256"), llm::sha256_of(bytes));
  EXPECT_EQ(text("backend", "isa"), shared_llm().backend().isa);
  EXPECT_EQ(text("backend", "kv_dtype"), "f32");
  EXPECT_EQ(text("prompt", "sha256"), llm::sha256_of(*output.prompt_token_ids));
  EXPECT_EQ(*receipt.find("request_id")->if_string(), "mine");
  EXPECT_TRUE(*receipt.find("replayable")->if_bool());
  const base::Json& options = *receipt.find("options");
  EXPECT_EQ(*options.find("max_new_tokens")->if_int(), 8);
  EXPECT_EQ(*options.find("top_k")->if_int(), 12);  // a default of the family
  EXPECT_EQ(*options.find("n")->if_int(), 2);
  for (const char* other : {"request_id", "logprobs", "cache_salt", "seed", "receipt"})
    EXPECT_EQ(options.find(other), nullptr) << other;
  const base::Json& choice = receipt.find("choices")->as_array("choices")[1];
  EXPECT_EQ(*choice.find("text_sha256")->if_string(), llm::sha256_of(output.outputs[1].text));
  EXPECT_EQ(*choice.find("n_tokens")->if_int(), 8);
  // The seed is the one that was drawn.
  GenerateOptions again{.max_new_tokens = 8, .temperature = 0.9F, .n = 2};
  again.seed = static_cast<std::uint64_t>(*receipt.find("seed")->if_int());
  EXPECT_EQ(shared_llm().generate("Once upon a time", again).outputs[1].text,
            output.outputs[1].text);
}

TEST(Receipts, ComeOnlyWhereTheyAreAskedForAndWithTheLastOutput) {
  EXPECT_EQ(shared_llm().generate("Once", {.max_new_tokens = 2}).receipt, "");
  std::vector<std::string> all;
  for (const GenerationOutput& output : shared_llm().generate_iterator("Once", with_receipt()))
    all.push_back(output.receipt);
  ASSERT_NE(all.back(), "");
  all.pop_back();
  EXPECT_THAT(all, testing::Each(""));
  EXPECT_NE(shared_llm().async_generate("Once", with_receipt()).get().receipt, "");
}

TEST(Receipts, HoldWithoutTheConfigurationAndTheTemplateThatWereThere) {
  LoadOptions load{.n_threads = 1};
  load.config.temperature = 0.8F;
  load.config.suppress_tokens = {402};
  load.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}";
  load.sanitize = [](Prompt) { return Prompt("The end"); };
  const LLM other(kModel, load);
  const std::string receipt =
      other.generate({{.role = "user", .content = "Hi"}}, with_receipt()).receipt;
  EXPECT_TRUE(shared_llm().replay(receipt).same);
  EXPECT_TRUE(other.replay(receipt_of({})).same);
}

TEST(Receipts, OneWithoutTokensWantsThePrompt) {
  const std::string receipt =
      receipt_of({.temperature = 1.5F, .top_k = 0, .seed = 3, .receipt_hash_only = true});
  EXPECT_THAT(receipt, testing::Not(HasSubstr("\"token_ids\"")));
  const Ids prompt = shared_llm().tokenize("Once upon a time");
  EXPECT_TRUE(shared_llm().replay(receipt, prompt).same);
  EXPECT_EQ(failure(receipt), "invalid_argument receipt");
  EXPECT_THROW((void)shared_llm().replay(receipt, Ids{1, 2}), Error);
  EXPECT_THROW((void)shared_llm().generate("Once", {.receipt_hash_only = true}), Error);
  const std::string other = forged(receipt, [](base::Json& json) { json["seed"] = 5; });
  EXPECT_FALSE(shared_llm().replay(other, prompt).same);
  EXPECT_EQ(shared_llm().replay(other, prompt).first_different_token, -1);
}

TEST(Receipts, AChangedTokenIsFoundWhereItStands) {
  const std::string receipt = receipt_of({.temperature = 0.0F});
  const auto change = [&](std::size_t choice, std::size_t token, bool is_forger) {
    return forged(receipt, [&](base::Json& json) {
      base::Json& entry = (*json["choices"].if_array())[choice];
      Ids ids;
      for (const base::Json& id : *entry["token_ids"].if_array())
        ids.push_back(static_cast<std::int32_t>(id.as_int("id")));
      ids[token] += 1;
      (*entry["token_ids"].if_array())[token] = ids[token];
      if (is_forger) entry["token_ids_sha256"] = llm::sha256_of(ids);
    });
  };
  EXPECT_EQ(failure(change(0, 3, false)), "corrupt_data receipt.choices[0].token_ids");
  const ReplayResult result = shared_llm().replay(change(0, 3, true));
  EXPECT_FALSE(result.same);
  EXPECT_EQ(result.choice, 0);
  EXPECT_EQ(result.first_different_token, 3);
}

TEST(Receipts, AnythingElseThatWasChangedIsFound) {
  const std::string receipt = receipt_of({.temperature = 1.5F, .top_k = 0, .seed = 3, .n = 3});
  std::string careless = receipt;
  careless.replace(careless.find("\"n\":3"), 5, "\"n\":4");
  EXPECT_EQ(failure(careless), "corrupt_data receipt");
  for (const auto& [path, value] :
       std::vector<std::pair<const char*, base::Json>>{{"temperature", 0.2},
                                                       {"n", 2},
                                                       {"max_new_tokens", 7},
                                                       {"skip_special_tokens", false},
                                                       {"stop", "a"}}) {
    SCOPED_TRACE(path);
    const std::string other = forged(receipt, [&](base::Json& json) {
      json["options"][path] = value;
      json["options"]["ignore_eos"] = true;
    });
    if (std::string(path) == "skip_special_tokens") continue;  // there were none
    EXPECT_FALSE(shared_llm().replay(other).same);
  }
  EXPECT_FALSE(shared_llm().replay(forged(receipt, [](base::Json& j) { j["seed"] = 4; })).same);
  const ReplayResult text = shared_llm().replay(forged(receipt, [](base::Json& json) {
    (*json["choices"].if_array())[2]["text_sha256"] = llm::sha256_of("another");
  }));
  EXPECT_FALSE(text.same);
  EXPECT_EQ(text.choice, 2);
  EXPECT_EQ(text.first_different_token, -1);
}

TEST(Receipts, AnotherModelOrAnotherWayToComputeIsNamed) {
  const std::string receipt = receipt_of({.temperature = 1.0F, .seed = 1});
  const LLM folder(std::string(OPENLLM_TEST_DATA) + "/stories260K/hf", {.n_threads = 1});
  EXPECT_THAT(folder.replay(receipt).notes, Contains(HasSubstr("model: SHA-256")));
  const LLM tiny(std::string(OPENLLM_TEST_DATA) + "/models/llama", {.n_threads = 1});
  const ReplayResult other = tiny.replay(receipt);
  EXPECT_FALSE(other.same);
  EXPECT_THAT(other.notes, Contains(HasSubstr("model: SHA-256")));
  const LLM rounded(
      kModel,
      {.device = "reference", .fast_activations = true, .kv_dtype = "int8", .kv_block_size = 16});
  const ReplayResult result = rounded.replay(receipt);
  for (const char* what : {"device: reference here, cpu in the receipt",
                           "isa: ", "fast_activations: true here, false in the receipt",
                           "kv_dtype: int8 here, f32 in the receipt", "kv_block_size: 16 here"}) {
    EXPECT_THAT(result.notes, Contains(HasSubstr(what)));
  }
  const ReplayResult later =
      shared_llm().replay(forged(receipt, [](base::Json& json) { json["openllm"] = "9.9"; }));
  EXPECT_TRUE(later.same);
  EXPECT_THAT(later.notes, Contains(HasSubstr("openllm: ")));
  // It is loaded again as the receipt says.
  const ReceiptModel model = receipt_model(receipt);
  EXPECT_EQ(model.tag, shared_llm().tag());
  EXPECT_EQ(model.load.device, "cpu");
  EXPECT_EQ(model.load.kv_dtype, "f32");
  EXPECT_THAT(LLM(kModel, model.load).replay(receipt).notes, IsEmpty());
}

TEST(Receipts, AContextThatNothingCameNearToMakesNoDifference) {
  const std::string receipt = receipt_of({.temperature = 0.0F});
  const LLM shorter(kModel, {.n_threads = 1, .max_model_len = 64});
  EXPECT_TRUE(shorter.replay(receipt).same);
  EXPECT_THAT(shorter.replay(receipt).notes, IsEmpty());
  const std::string whole = receipt_of({.max_new_tokens = -1, .ignore_eos = true});
  const ReplayResult cut = shorter.replay(whole);
  EXPECT_FALSE(cut.same);
  EXPECT_EQ(cut.first_different_token,
            static_cast<std::int64_t>(cut.output.outputs[0].token_ids.size()));
  EXPECT_THAT(cut.notes, Contains(HasSubstr("max_model_len: 64 here")));
}

TEST(Receipts, AnAnswerThatWasCutFromOutsideSaysSo) {
  GenerateOptions options = with_receipt({.max_new_tokens = -1, .ignore_eos = true});
  GenerationStream stream = shared_llm().generate_iterator("Once", options);
  (void)stream.next();
  stream.cancel();
  std::string receipt;
  while (const GenerationOutput* output = stream.next()) receipt = output->receipt;
  ASSERT_NE(receipt, "");
  EXPECT_FALSE(*parsed(receipt).find("replayable")->if_bool());
  EXPECT_EQ(*parsed(receipt).find("reason")->if_string(), "choice 0 ended by cancelled");
  EXPECT_EQ(failure(receipt), "invalid_argument receipt");
  EXPECT_THAT(receipt_of({.stop = std::vector<std::string>{"\xff"}}),
              HasSubstr("\"replayable\":false,\"reason\":\"an option has text that is no UTF-8\""));
}

TEST(Receipts, WhatIsNoneIsRefusedWithItsPlace) {
  const std::string receipt = receipt_of({});
  EXPECT_EQ(failure(""), "invalid_argument receipt");
  EXPECT_EQ(failure("[]"), "invalid_argument receipt");
  EXPECT_EQ(failure("{}"), "invalid_argument receipt");
  EXPECT_EQ(failure(receipt.substr(0, receipt.size() - 1)), "invalid_argument receipt");
  const auto broken = [&](const std::function<void(base::Json&)>& change) {
    return failure(forged(receipt, change));
  };
  EXPECT_EQ(broken([](base::Json& j) { j["receipt"] = 2; }), "unsupported receipt.receipt");
  EXPECT_EQ(broken([](base::Json& j) { j.if_object()->erase("model"); }),
            "invalid_argument receipt.model");
  EXPECT_EQ(broken([](base::Json& j) { j["model"]["sha256"] = "abc"; }),
            "invalid_argument receipt.model.sha256");
  EXPECT_EQ(broken([](base::Json& j) { j["backend"]["isa"] = 1; }),
            "invalid_argument receipt.backend.isa");
  EXPECT_EQ(broken([](base::Json& j) { j["prompt"]["n_tokens"] = 1; }),
            "corrupt_data receipt.prompt.token_ids");
  EXPECT_EQ(broken([](base::Json& j) { j["options"]["warmth"] = 1; }),
            "invalid_argument receipt.options.warmth");
  EXPECT_EQ(broken([](base::Json& j) { j["options"]["request_id"] = "x"; }),
            "invalid_argument receipt.options.request_id");
  EXPECT_EQ(broken([](base::Json& j) { j["options"]["temperature"] = -1; }),
            "invalid_argument receipt.options.temperature");
  EXPECT_EQ(broken([](base::Json& j) { j["options"]["n"] = 1000; }),
            "invalid_argument receipt.options.n");
  EXPECT_EQ(
      broken([](base::Json& j) { j["options"]["eos_token_id"] = base::Json::parse("[9999]", ""); }),
      "invalid_argument eos_token_id");
  EXPECT_EQ(broken([](base::Json& j) { j["seed"] = "x"; }), "invalid_argument receipt.seed");
  EXPECT_EQ(broken([](base::Json& j) { j["choices"] = base::Json::array(); }),
            "invalid_argument receipt.choices");
}

TEST(Receipts, FilesAreReadAgainAfterUnloading) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(testing::TempDir()) / "receipt_test.gguf";
  fs::copy_file(kModel, path, fs::copy_options::overwrite_existing);
  const LLM llm(path.string(), {.n_threads = 1});
  const std::string receipt = llm.generate("Once", with_receipt()).receipt;
  EXPECT_THAT(llm.replay(receipt).notes, IsEmpty());
  llm.unload();
  std::ofstream(path, std::ios::app | std::ios::binary) << "more";
  EXPECT_THAT(llm.replay(receipt).notes, Contains(HasSubstr("model: SHA-256")));
  EXPECT_TRUE(llm.replay(receipt).same);
  fs::remove(path);
}

}  // namespace
}  // namespace openllm
