// Models that cannot run, and models that are unloaded.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "format/test_files.h"
#include "openllm/backends.h"
#include "openllm/llm.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using format::testing::error_of;
using format::testing::TempFolder;
using ::testing::HasSubstr;

const std::string kStories = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";
const std::string kGguf = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";

/// A tokenizer and a configuration of an architecture that nothing here runs.
TempFolder& foo_folder() {
  static TempFolder folder;
  folder.write("config.json", R"({"architectures": ["FooForCausalLM"], "model_type": "foo",
    "num_hidden_layers": 9, "vocab_size": 512, "max_position_embeddings": 64})");
  folder.write("generation_config.json", R"({"top_k": 7})");
  folder.write("chat_template.jinja", "{% for m in messages %}<{{ m.content }}>{% endfor %}");
  fs::copy_file(kStories + "/tokenizer.json", folder.path() + "/tokenizer.json",
                fs::copy_options::overwrite_existing);
  return folder;
}

TEST(ModelWithoutBackend, CanBeLookedAt) {
  const LLM llm(foo_folder().path());
  const ModelInfo info = llm.info();
  EXPECT_EQ(info.architecture, "foo");
  EXPECT_EQ(info.format, "none");
  EXPECT_EQ(info.n_layers, 9);
  EXPECT_EQ(info.vocab_size, 512);
  EXPECT_EQ(info.max_context, 64);
  EXPECT_EQ(info.n_parameters, 0);
  EXPECT_TRUE(info.has_tokenizer);
  EXPECT_TRUE(info.has_chat_template);
  EXPECT_EQ(llm.config().top_k, 7);
  EXPECT_EQ(llm.tokenize("Once upon a time"), LLM(kStories).tokenize("Once upon a time"));
  EXPECT_EQ(llm.apply_chat_template({{.role = "user", .content = "hi"}}), "<hi>");
  EXPECT_THAT(llm.tag(), HasSubstr("none-"));
  EXPECT_FALSE(llm.is_loaded());
}

TEST(ModelWithoutBackend, WhatNeedsOneSaysWhyThereIsNone) {
  const LLM llm(foo_folder().path());
  for (const Error& error :
       {error_of([&] { llm.load(); }), error_of([&] { (void)llm.generate("Once"); }),
        error_of([&] { (void)llm.backend(); }), error_of([&] { (void)llm.logits({1}); }),
        error_of([&] { (void)llm.async_generate("Once").get(); })}) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("native: "));
    EXPECT_THAT(error.what(), HasSubstr("unknown architecture"));
    EXPECT_THAT(error.what(), HasSubstr("vllm: "));
  }
  EXPECT_EQ(error_of([] { const LLM eager(foo_folder().path(), {.eager = true}); }).code(),
            ErrorCode::kUnsupported);
}

TEST(AskBackends, EveryBackendAnswersForTheModel) {
  const BackendReport none = ask_backends(foo_folder().path());
  ASSERT_EQ(none.backends.size(), 3U);
  EXPECT_EQ(none.chosen, "");
  for (const Availability& backend : none.backends) EXPECT_FALSE(backend.available);
  EXPECT_EQ(none.backends[1].name, "native");
  EXPECT_THAT(none.backends[1].reason, HasSubstr("got foo"));
  EXPECT_THAT(none.reason, HasSubstr("no backend can run this model"));
  const BackendReport some = ask_backends(kGguf);
  EXPECT_EQ(some.chosen, "native");
  EXPECT_TRUE(some.backends[1].available);
  EXPECT_THAT(some.reason, HasSubstr("vllm skipped: "));
  EXPECT_THAT(ask_backends(kGguf, {.backend = "pt"}).reason, HasSubstr("backend pt"));
}

TEST(Unload, TheNextUseLoadsAgain) {
  std::atomic<int> n_loads{0};
  LoadOptions load{.n_threads = 1};
  load.progress = [&](const std::string& stage, double) { n_loads += stage == "ready" ? 1 : 0; };
  const LLM llm(kGguf, load);
  llm.unload();  // nothing to do
  const GenerateOptions options{.max_new_tokens = 8, .temperature = 0.0F};
  const std::string expected = llm.generate("Once", options).outputs[0].text;
  for (int i = 0; i < 3; ++i) {
    llm.unload();
    EXPECT_FALSE(llm.is_loaded());
    EXPECT_EQ(llm.stats().n_requests, 0);
    EXPECT_EQ(llm.info().max_context, 512);
    EXPECT_EQ(llm.generate("Once", options).outputs[0].text, expected);
    EXPECT_TRUE(llm.is_loaded());
  }
  EXPECT_EQ(n_loads, 4);
}

TEST(Unload, EndsWhatRuns) {
  const LLM llm(kGguf, {.device = "reference"});
  // So much that it is not over before, however late this thread gets to run.
  const GenerateOptions options{.max_new_tokens = 480, .n = 128, .ignore_eos = true};
  GenerationStream stream = llm.generate_iterator("Once", options);
  ASSERT_NE(stream.next(), nullptr);
  Task<GenerationOutput> task = llm.async_generate("Lily", options);
  std::jthread waiting([&] {
    const Error error = error_of([&] { (void)task.get(); });
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  });
  while (llm.stats().n_requests < 2) std::this_thread::yield();
  llm.unload();
  const Error error = error_of([&] {
    while (stream.next() != nullptr) {
    }
  });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("was unloaded"));
  EXPECT_EQ(stream.next(), nullptr);
  waiting.join();
  EXPECT_EQ(llm.generate("Once", {.max_new_tokens = 3}).outputs[0].token_ids.size(), 3U);
}

TEST(Unload, AmongRequestsOfManyThreads) {
  const LLM llm(kGguf, {.n_threads = 1});
  const GenerateOptions options{.max_new_tokens = 30, .temperature = 0.0F, .ignore_eos = true};
  const auto expected = llm.generate(std::vector<std::int32_t>{1}, options).outputs[0].token_ids;
  std::atomic<bool> stop{false};
  std::atomic<int> n_answers{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        try {
          const auto output = llm.generate(std::vector<std::int32_t>{1}, options);
          EXPECT_EQ(output.outputs[0].token_ids, expected);
          ++n_answers;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << error.what();
        }
      }
    });
  }
  // In turn among requests and loads wherever they are, and after an answer: so that there are
  // answers also where an answer takes longer than the time between two calls.
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i % 5));
    const int n_before = n_answers;
    while (i % 2 == 1 && n_answers == n_before)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    llm.unload();
  }
  stop = true;
  threads.clear();
  EXPECT_GE(n_answers, 10);
}

TEST(Unload, AFailedLoadCanBeTriedAgain) {
  const TempFolder folder;
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(kStories + "/" + name, folder.path() + "/" + name);
  const LLM llm(folder.path(), {.n_threads = 1});
  const std::vector<std::int32_t> ids{1};
  const GenerateOptions options{.max_new_tokens = 4, .temperature = 0.0F};
  const auto expected = llm.generate(ids, options).outputs[0].token_ids;
  llm.unload();
  fs::rename(folder.path() + "/model.safetensors", folder.path() + "/away");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(error_of([&] { llm.load(); }).code(), ErrorCode::kNotFound);
  EXPECT_FALSE(llm.is_loaded());
  fs::rename(folder.path() + "/away", folder.path() + "/model.safetensors");
  EXPECT_EQ(llm.generate(ids, options).outputs[0].token_ids, expected);
}

// The sanitizers' allocators keep what is freed.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

/// One layer below an embedding of 64 MB.
std::string wide_model() {
  constexpr std::uint64_t kDim = 64;
  constexpr std::uint64_t kVocab = 256 << 10;
  format::testing::GgufBuilder b;
  const auto number = [&](const char* name, std::uint32_t value) {
    b.key(name, 4, format::testing::le(value));
  };
  b.text("general.architecture", "llama");
  number("llama.block_count", 1);
  number("llama.context_length", 64);
  number("llama.embedding_length", kDim);
  number("llama.feed_forward_length", kDim);
  number("llama.attention.head_count", 1);
  b.key("llama.attention.layer_norm_rms_epsilon", 6, format::testing::le(1e-5F));
  const auto tensor = [&](const std::string& name, std::vector<std::uint64_t> dims) {
    std::uint64_t n = 1;
    for (const std::uint64_t dim : dims) n *= dim;
    b.tensor(name, dims, 0, std::string(n * sizeof(float), '\0'));
  };
  tensor("token_embd.weight", {kDim, kVocab});
  tensor("output_norm.weight", {kDim});
  for (const char* name : {"attn_norm", "ffn_norm"})
    tensor(std::string("blk.0.") + name + ".weight", {kDim});
  for (const char* name :
       {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
    tensor(std::string("blk.0.") + name + ".weight", {kDim, kDim});
  return b.build();
}

TEST(Unload, GivesTheMemoryBack) {
  const TempFolder folder;
  const LLM llm(folder.write("wide.gguf", wide_model()), {.n_threads = 1});
  const GenerateOptions options{.max_new_tokens = 2, .ignore_eos = true};
  const std::int64_t before = resident_bytes();
  for (int i = 0; i < 2; ++i) {
    (void)llm.generate(std::vector<std::int32_t>{1}, options);
    EXPECT_GT(resident_bytes() - before, 40 << 20);
    llm.unload();
    EXPECT_LT(resident_bytes() - before, 20 << 20);
  }
}
#endif

}  // namespace
}  // namespace openllm
