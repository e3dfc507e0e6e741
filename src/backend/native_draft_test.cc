// A draft model beside a model on one device: what both compute stays what each computes alone.

#include "backend/native_draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/kv_budget.h"
#include "backend/native.h"
#include "format/test_files.h"
#include "model/test_support.h"

namespace openllm::backend {
namespace {

using format::testing::TempFolder;
using model::test::error_of;
using testing::HasSubstr;

constexpr int kDim = 32;
constexpr int kVocab = 64;

/// A llama whose layers behind the first `n_that_count` add nothing to what those say.
model::test::MemoryCheckpoint make_llama(int n_layers, int n_that_count) {
  base::Json config = base::Json::parse(
      R"({"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64,
          "num_attention_heads": 2, "num_key_value_heads": 1,
          "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": false})",
      "test");
  config["num_hidden_layers"] = n_layers;
  model::test::MemoryCheckpoint checkpoint(format::Checkpoint::Kind::kHuggingFace,
                                           std::move(config));
  const std::int64_t d = kDim;
  checkpoint.add("model.embed_tokens.weight", {kVocab, d});
  checkpoint.add("model.norm.weight", {d});
  checkpoint.add("lm_head.weight", {kVocab, d});
  static const std::vector<float> kZeros(2 * kDim * kDim, 0.0F);
  const auto add_last = [&](const std::string& name, std::int64_t n_in, int layer) {
    const tensor::Shape shape{d, n_in};
    if (layer < n_that_count) return checkpoint.add(name, shape);
    const auto values = std::span(kZeros).first(static_cast<std::size_t>(d * n_in));
    checkpoint.add(name, tensor::TensorView{tensor::DType::kF32, shape, std::as_bytes(values)});
  };
  for (int i = 0; i < n_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    checkpoint.add(layer + "input_layernorm.weight", {d});
    checkpoint.add(layer + "post_attention_layernorm.weight", {d});
    checkpoint.add(layer + "self_attn.q_proj.weight", {d, d});
    checkpoint.add(layer + "self_attn.k_proj.weight", {d / 2, d});
    checkpoint.add(layer + "self_attn.v_proj.weight", {d / 2, d});
    checkpoint.add(layer + "mlp.gate_proj.weight", {2 * d, d});
    checkpoint.add(layer + "mlp.up_proj.weight", {2 * d, d});
    add_last(layer + "self_attn.o_proj.weight", d, i);
    add_last(layer + "mlp.down_proj.weight", 2 * d, i);
  }
  return checkpoint;
}

void write(const model::test::MemoryCheckpoint& checkpoint, const TempFolder& folder) {
  base::Json header = base::Json::object();
  std::string data;
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    base::JsonArray shape;
    for (int i = 0; i < tensor.view.shape.n_dims(); ++i) shape.emplace_back(tensor.view.shape[i]);
    base::JsonArray range;
    range.emplace_back(static_cast<std::int64_t>(data.size()));
    data.append(reinterpret_cast<const char*>(tensor.view.bytes.data()), tensor.view.bytes.size());
    range.emplace_back(static_cast<std::int64_t>(data.size()));
    base::Json& entry = header[tensor.name];
    entry["dtype"] = "F32";
    entry["shape"] = base::Json(std::move(shape));
    entry["data_offsets"] = base::Json(std::move(range));
  }
  folder.write("config.json", checkpoint.config().dump());
  folder.write("model.safetensors", format::testing::safetensors(header.dump(), data));
}

class Sink final : public engine::EventSink {
 public:
  void on_prompt_logprobs(int, std::vector<engine::TokenEvent>) noexcept override {}
  void on_token(int, engine::TokenEvent event) noexcept override { tokens.push_back(event.token); }
  void on_end(int, FinishReason, int, const base::Failure&) noexcept override { done.set_value(); }

  std::vector<std::int32_t> tokens;
  std::promise<void> done;
};

std::vector<std::int32_t> answer(Backend& backend, std::vector<std::int32_t> ids, int max_new) {
  engine::Request request;
  request.id = "r";
  request.prompt_ids = std::move(ids);
  request.max_new_tokens = max_new;
  request.sampling.temperature = 0.0F;
  const auto sink = std::make_shared<Sink>();
  request.sink = sink;
  backend.submit(std::move(request));
  sink->done.get_future().wait();
  return sink->tokens;
}

LoadOptions small_options(const std::string& device) {
  LoadOptions options;
  options.device = device;
  options.n_threads = 1;
  options.kv_block_size = 8;
  options.max_step_tokens = 64;
  options.max_sequences = 4;
  options.kv_cache_bytes = 1 << 22;
  return options;
}

TEST(NativeDraft, GuessesWhatTheModelSays) {
  const TempFolder large;
  const TempFolder small;
  const TempFolder other;
  write(make_llama(40, 1), large);
  write(make_llama(1, 1), small);
  write(make_llama(2, 2), other);
  for (const char* device : {"reference", "cpu"}) {
    SCOPED_TRACE(device);
    const format::ModelSource source = format::open_model(large.path());
    LoadOptions options = small_options(device);
    const auto plain = native_backend().load(source, options);
    options.draft_model = small.path();
    const auto same = native_backend().load(source, options);
    options.draft_model = other.path();
    const auto different = native_backend().load(source, options);
    for (int i = 0; i < 3; ++i) {
      const std::vector<std::int32_t> ids = {3, 9, 4 + i, 30, 2};
      const auto expected = answer(*plain, ids, 400);
      EXPECT_EQ(answer(*same, ids, 400), expected);
      EXPECT_EQ(answer(*different, ids, 400), expected);
    }
    const EngineStats stats = same->stats();
    EXPECT_GT(stats.n_model_draft_tokens, 0);
    EXPECT_EQ(stats.n_accepted_model_drafts, stats.n_model_draft_tokens) << "it is always right";
    EXPECT_GT(different->stats().n_draft_model_rows, 0);
    EXPECT_EQ(stats.n_draft_model_failures, 0);
    EXPECT_EQ(plain->stats().n_draft_model_rows, 0);
  }
}

TEST(NativeDraft, KeepsItsOwnLength) {
  const TempFolder large;
  const TempFolder small;
  write(make_llama(4, 1), large);
  auto draft = make_llama(1, 1);
  draft.mutable_config()["max_position_embeddings"] = 32;
  write(draft, small);
  LoadOptions options = small_options("cpu");
  const format::ModelSource source = format::open_model(large.path());
  const auto plain = native_backend().load(source, options);
  options.draft_model = small.path();
  const auto backend = native_backend().load(source, options);
  EXPECT_EQ(backend->max_model_len(), plain->max_model_len());
  const std::vector<std::int32_t> ids = {3, 9, 4, 30, 2};
  EXPECT_EQ(answer(*backend, ids, 200), answer(*plain, ids, 200));
}

TEST(NativeDraft, TakesTheTypesOfTheModel) {
  const TempFolder large;
  const TempFolder small;
  write(make_llama(4, 1), large);
  write(make_llama(1, 1), small);
  LoadOptions options = small_options("cpu");
  options.quantize = "q8";
  const format::ModelSource source = format::open_model(large.path());
  const auto plain = native_backend().load(source, options);
  options.draft_model = small.path();
  const auto backend = native_backend().load(source, options);
  const std::vector<std::int32_t> ids = {3, 9, 4, 30, 2};
  EXPECT_EQ(answer(*backend, ids, 60), answer(*plain, ids, 60));
}

TEST(NativeDraft, IsCountedWithTheModel) {
  const TempFolder large;
  const TempFolder small;
  write(make_llama(4, 1), large);
  write(make_llama(1, 1), small);
  const format::ModelSource source = format::open_model(large.path());
  LoadOptions options = small_options("cpu");
  const std::int64_t alone = native_footprint(source, options).memory_bytes;
  const std::int64_t draft =
      native_footprint(format::open_model(small.path()), options).memory_bytes;
  options.draft_model = small.path();
  EXPECT_EQ(native_footprint(source, options).memory_bytes, alone + draft);
}

TEST(NativeDraft, SaysWhatIsWrongWithIt) {
  const TempFolder large;
  const TempFolder broken;
  write(make_llama(4, 1), large);
  auto draft = make_llama(1, 1);
  draft.remove("model.layers.0.mlp.up_proj.weight");
  write(draft, broken);
  LoadOptions options = small_options("cpu");
  options.draft_model = broken.path();
  const format::ModelSource source = format::open_model(large.path());
  const Error error = error_of([&] { (void)native_backend().load(source, options); });
  EXPECT_EQ(error.where(), "draft_model");
  EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
  EXPECT_THAT(error.what(), HasSubstr("up_proj"));
  options.draft_model = "/nonexistent";
  const auto refusal = error_of([&] { (void)native_backend().describe(source, options); });
  EXPECT_EQ(refusal.where(), "draft_model");
}

TEST(DraftKvBudget, IsAsManyTokensButNotMoreThanThereIs) {
  kv::KvGroupSpec group;
  group.bytes_per_block = 1000;
  LoadOptions options;
  options.kv_block_size = 32;
  const KvBudget enough = plan_draft_kv_budget({group}, options, 1024, {100}, 10'000'000);
  EXPECT_EQ(enough.blocks_per_group, std::vector<int>{100});
  EXPECT_EQ(enough.max_model_len, 1024);
  const KvBudget little = plan_draft_kv_budget({group}, options, 1024, {100}, 30'000);
  EXPECT_EQ(little.blocks_per_group, std::vector<int>{10});
  EXPECT_EQ(little.max_model_len, 320);
  EXPECT_THROW((void)plan_draft_kv_budget({group}, options, 1024, {100}, -5), Error);
}

}  // namespace
}  // namespace openllm::backend
