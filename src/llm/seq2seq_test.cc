// The public class on encoder-decoder models, and beam search by it. The models are tiny and have
// no tokenizer, so prompts are ids; what they answer is checked against transformers' goldens.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/mapped_file.h"
#include "fields/access.h"
#include "format/test_files.h"
#include "openllm/llm.h"

namespace openllm {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kData = OPENLLM_TEST_DATA;

Ids to_ids(const base::Json& array) {
  Ids ids;
  for (const base::Json& id : array.as_array("ids"))
    ids.push_back(static_cast<std::int32_t>(id.as_int("id")));
  return ids;
}

base::Json read_json(const std::string& path) {
  return base::Json::parse(base::read_file(kData + path), path);
}

LoadOptions small_options() {
  LoadOptions options;
  options.n_threads = 1;
  options.kv_cache_bytes = 1 << 20;
  options.max_step_tokens = 32;
  return options;
}

LLM llm_of(const std::string& name) { return LLM(kData + "/models/" + name, small_options()); }

/// A search of tests/data/beams that only has options of its own and one end token.
base::Json search_of(const std::string& model) {
  const base::Json goldens = read_json("/beams/goldens.json");
  for (const base::Json& golden : goldens.as_array("goldens")) {
    if (golden.find("model")->as_string("model") == model) return golden;
  }
  throw Error(ErrorCode::kNotFound, model);
}

TEST(Seq2Seq, APromptIsTheSource) {
  const LLM llm = llm_of("bart");
  EXPECT_TRUE(llm.info().is_encoder_decoder);
  const base::Json golden = search_of("bart");
  const Ids prompt = to_ids(*golden.find("prompt"));
  const GenerationOutput output =
      llm.generate(prompt, {.max_new_tokens = 5, .temperature = 0.0F, .ignore_eos = true});
  EXPECT_EQ(output.prompt_token_ids, prompt);
  EXPECT_EQ(output.usage.n_prompt_tokens, static_cast<std::int64_t>(prompt.size()));
  EXPECT_THAT(output.outputs.at(0).token_ids, SizeIs(5));
  const std::vector<float> logits = llm.logits(prompt);
  ASSERT_EQ(logits.size(), 96U) << "the first position of the answer alone";
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  EXPECT_EQ(output.outputs[0].token_ids[0], static_cast<std::int32_t>(best));
  // The decoder's start token counts, the prompt does not.
  const GenerationOutput shorter =
      llm.generate(prompt, {.max_length = 4, .temperature = 0.0F, .ignore_eos = true});
  EXPECT_THAT(shorter.outputs.at(0).token_ids, SizeIs(3));
  EXPECT_FALSE(llm_of("llama").info().is_encoder_decoder);
}

TEST(Seq2Seq, TextsAreAnsweredAsTransformersDoes) {
  const format::testing::TempFolder folder;
  for (const char* path : {"/models/mt5/config.json", "/models/mt5/model.safetensors",
                           "/seq2seq/tokenizer.json", "/seq2seq/tokenizer_config.json"}) {
    const std::filesystem::path file = kData + path;
    std::filesystem::create_symlink(file, std::filesystem::path(folder.path()) / file.filename());
  }
  const LLM llm(folder.path(), small_options());
  const base::Json goldens = read_json("/seq2seq/goldens.json");
  for (const base::Json& golden : goldens.find("cases")->as_array("cases")) {
    GenerateOptions options;
    options.temperature = 0.0F;
    for (const auto& [name, value] : golden.find("options")->as_object("options")) {
      const fields::Field& field = *fields::find(name);
      fields::set(field, options, value, name, field.range);
    }
    const GenerationOutput output = llm.generate(golden.find("text")->as_string("text"), options);
    EXPECT_EQ(output.prompt_token_ids, to_ids(*golden.find("prompt")));
    const base::JsonArray& ids = golden.find("ids")->as_array("ids");
    ASSERT_EQ(output.outputs.size(), ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(output.outputs[i].token_ids, to_ids(ids[i]));
      EXPECT_EQ(output.outputs[i].text,
                golden.find("texts")->as_array("texts")[i].as_string("text"));
    }
  }
  const std::vector<float> logits = llm.logits(to_ids(*goldens.find("logits_ids")));
  const base::JsonArray& expected = goldens.find("logits")->as_array("logits");
  ASSERT_EQ(logits.size(), expected.size());
  for (std::size_t i = 0; i < logits.size(); ++i)
    EXPECT_NEAR(logits[i], expected[i].as_double("logit"), 1e-4);
}

TEST(Seq2Seq, AForcedFirstTokenAndManyChoices) {
  const LLM llm = llm_of("m2m-100");
  const Ids prompt = {5, 9, 11, 2};
  GenerateOptions options{.max_new_tokens = 6, .ignore_eos = true};
  options.forced_bos_token_id = 40;
  options.n = 3;
  options.seed = 7;
  const GenerationOutput output = llm.generate(prompt, options);
  ASSERT_THAT(output.outputs, SizeIs(3));
  for (const CompletionChunk& chunk : output.outputs) EXPECT_EQ(chunk.token_ids.at(0), 40);
  EXPECT_NE(output.outputs[0].token_ids, output.outputs[1].token_ids);
}

TEST(Seq2Seq, AReceiptIsReplayed) {
  const LLM llm = llm_of("t5");
  GenerateOptions options{.max_new_tokens = 4, .ignore_eos = true};
  options.receipt = true;
  const std::string receipt = llm.generate(Ids{7, 3, 8}, options).receipt;
  EXPECT_TRUE(llm.replay(receipt).same);
}

TEST(Seq2Seq, WhatASourceCannotHaveIsRefused) {
  const LLM llm = llm_of("bart");
  const auto refusal = [&](const Ids& ids, const GenerateOptions& options) -> std::string {
    try {
      (void)llm.generate(ids, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(refusal({5, 6}, {.prompt_logprobs = 1}), HasSubstr("prompt_logprobs"));
  EXPECT_THAT(refusal(Ids(49, 5), {}), HasSubstr("too long"));
  EXPECT_THAT(refusal({}, {}), HasSubstr("empty prompt"));
  GenerateOptions truncating{.max_new_tokens = 2, .ignore_eos = true, .truncate_prompt = true};
  EXPECT_EQ(refusal(Ids(60, 5), truncating), "taken");
}

TEST(BeamSearch, GivesTheAnswersOfTransformersByEveryForm) {
  for (const char* model : {"t5", "llama"}) {
    const LLM llm = llm_of(model);
    const base::Json golden = search_of(model);
    const base::Json& asked = *golden.find("options");
    GenerateOptions options;
    options.max_new_tokens = static_cast<int>(asked.find("max_new_tokens")->as_int("max"));
    options.num_beams = static_cast<int>(asked.find("num_beams")->as_int("beams"));
    options.n = static_cast<int>(asked.find("num_return_sequences")->as_int("n"));
    options.eos_token_ids = to_ids(*asked.find("eos_token_id"));
    const Ids prompt = to_ids(*golden.find("prompt"));
    const GenerationOutput output = llm.generate(prompt, options);
    const base::JsonArray& expected = golden.find("ids")->as_array("ids");
    ASSERT_EQ(output.outputs.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(output.outputs[i].token_ids, to_ids(expected[i])) << model;
    // The model's defaults may search too: then a stream has all of it at its end.
    LoadOptions load = small_options();
    load.config.num_beams = options.num_beams;
    load.config.temperature = 0.7F;
    const LLM searching(kData + "/models/" + model, load);
    GenerateOptions rest = options;
    rest.num_beams.reset();
    rest.n = 1;
    GenerationOutput last;
    for (const GenerationOutput& part : searching.generate_iterator(prompt, rest)) last = part;
    EXPECT_EQ(last.outputs.at(0).token_ids, to_ids(expected[0]));
    try {
      (void)llm.generate_iterator(prompt, options);
      ADD_FAILURE() << "a stream";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_THAT(error.what(), HasSubstr("num_beams"));
    }
  }
}

}  // namespace
}  // namespace openllm
