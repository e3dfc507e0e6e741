// The native backend with a small model: each option reaches the part that it is for, and a request
// reaches the device with everything that changes its numbers.

#include "backend/native.h"

#include <cmath>
#include <filesystem>
#include <functional>
#include <future>
#include <iterator>
#include <limits>
#include <optional>

#include "backend/check_options.h"
#include "backend/kv_budget.h"
#include "format/test_files.h"
#include "model/test_support.h"

namespace openllm::backend {
namespace {

using model::test::error_of;
using model::test::small_llama;
using testing::HasSubstr;

constexpr std::size_t kVocab = 11;

/// Calls body(source) with a folder that holds the checkpoint.
template <typename Body>
auto with_folder(const model::test::MemoryCheckpoint& checkpoint, Body body) {
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
  const format::testing::TempFolder folder;
  folder.write("config.json", checkpoint.config().dump());
  folder.write("model.safetensors", format::testing::safetensors(header.dump(), data));
  return body(format::open_model(folder.path()));
}

std::unique_ptr<Backend> load_native(const model::test::MemoryCheckpoint& checkpoint,
                                     const LoadOptions& options) {
  return with_folder(checkpoint, [&](const format::ModelSource& source) {
    return native_backend().load(source, options);
  });
}

/// Whether constructors choose the backend for these options; throws what they throw.
std::optional<Refusal> ask_native(const LoadOptions& options) {
  return with_folder(small_llama(), [&](const format::ModelSource& source) {
    const auto refusal = native_backend().supports(source, options);
    if (refusal && refusal->code() == ErrorCode::kInvalidArgument) throw *refusal;
    return refusal;
  });
}

/// Keeps what one choice produced; `wait` returns when it has ended.
class Sink final : public engine::EventSink {
 public:
  void on_prompt_logprobs(int, std::vector<engine::TokenEvent>) noexcept override {}
  void on_prompt_logits(int, int n, const float* values) noexcept override {
    logits.insert(logits.end(), values, values + static_cast<std::size_t>(n) * vocab);
  }
  void on_token(int, engine::TokenEvent event) noexcept override { tokens.push_back(event.token); }
  void on_end(int, FinishReason end, int cached, const base::Failure&) noexcept override {
    reason = end;
    n_cached = cached;
    done_.set_value();
  }
  void wait() { done_.get_future().wait(); }

  std::size_t vocab = kVocab;
  std::vector<float> logits;
  std::vector<std::int32_t> tokens;
  FinishReason reason{};
  int n_cached = -1;

 private:
  std::promise<void> done_;
};

engine::Request request_of(std::vector<std::int32_t> ids, int max_new) {
  engine::Request r;
  r.id = "r";
  r.prompt_ids = std::move(ids);
  r.max_new_tokens = max_new;
  r.sampling.temperature = 0.0F;
  return r;
}

std::shared_ptr<Sink> run(Backend& backend, engine::Request request) {
  const auto sink = std::make_shared<Sink>();
  request.sink = sink;
  backend.submit(std::move(request));
  sink->wait();
  return sink;
}

LoadOptions small_options() {
  LoadOptions options;
  options.device = "reference";
  options.kv_block_size = 4;
  options.max_step_tokens = 16;
  options.max_sequences = 2;
  options.kv_cache_bytes = 1 << 20;
  return options;
}

/// RoPE factors are chosen by prompt and longest answer, and that length goes from the request
/// through engine and step to the device.
TEST(NativeBackend, TheAdmittedLengthChoosesRopeFactors) {
  auto checkpoint = small_llama();
  checkpoint.mutable_config()["rope_scaling"] =
      base::Json::parse(R"({"type": "dynamic", "factor": 3.0})", "test");
  checkpoint.mutable_config()["max_position_embeddings"] = 16;
  const std::vector<std::int32_t> ids = {1, 2, 3, 4, 5, 6};
  const auto backend = load_native(checkpoint, small_options());
  EXPECT_EQ(backend->max_model_len(), 48);
  std::vector<std::vector<float>> seen;
  for (const int max_new : {2, 10, 11, 30, 1000}) {
    engine::Request request = request_of(ids, max_new);
    request.prompt_logits = true;
    request.stop_token_ids = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};  // one token is enough
    seen.push_back(run(*backend, request)->logits);
    model::test::Runner model(checkpoint, "reference");
    model.set_rope_len(std::min(6 + max_new, 48));
    EXPECT_EQ(seen.back(), model.step({{0, ids}})) << max_new;
  }
  EXPECT_EQ(seen[0], seen[1]);  // up to 16 the plain factors
  EXPECT_NE(seen[1], seen[2]);
  EXPECT_NE(seen[2], seen[3]);
  EXPECT_NE(seen[3], seen[4]);
}

TEST(NativeBackend, OtherLengthsShareNoPrefixWhereRopeGrows) {
  for (const bool grows : {false, true}) {
    auto checkpoint = small_llama();
    if (grows) {
      checkpoint.mutable_config()["rope_scaling"] =
          base::Json::parse(R"({"type": "dynamic", "factor": 3.0})", "test");
    }
    const auto backend = load_native(checkpoint, small_options());
    const std::vector<std::int32_t> ids = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    run(*backend, request_of(ids, 2));
    EXPECT_EQ(run(*backend, request_of(ids, 2))->n_cached, 8);
    EXPECT_EQ(run(*backend, request_of(ids, 3))->n_cached, grows ? 0 : 8);
  }
}

TEST(NativeBackend, GreedyAnswersAreThoseOfTheModel) {
  const auto checkpoint = small_llama();
  const auto backend = load_native(checkpoint, small_options());
  const std::vector<std::int32_t> ids = {3, 1, 4};
  const auto sink = run(*backend, request_of(ids, 8));
  EXPECT_EQ(sink->reason, FinishReason::kLength);
  model::test::Runner model(checkpoint, "reference");
  std::vector<std::int32_t> next = ids;
  std::vector<std::int32_t> want;
  for (int i = 0; i < 8; ++i) {
    const std::vector<float> logits = model.step({{0, next}}, false);
    want.push_back(
        static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    next = {want.back()};
  }
  EXPECT_EQ(sink->tokens, want);
}

TEST(NativeBackend, OptionsReachTheEngine) {
  const std::vector<std::int32_t> ids = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (const bool caching : {true, false}) {
    LoadOptions options = small_options();
    options.prefix_caching = caching;
    const auto backend = load_native(small_llama(), options);
    run(*backend, request_of(ids, 1));
    EXPECT_EQ(run(*backend, request_of(ids, 1))->n_cached, caching ? 8 : 0);
  }
  LoadOptions options = small_options();
  options.max_queue = 3;
  options.max_sequences = 5;
  options.max_model_len = 20;
  options.kv_cache_bytes = 64 * 4 * 7;  // 64 bytes for a token, 4 tokens in a block
  auto backend = load_native(small_llama(), options);
  EXPECT_EQ(backend->max_model_len(), 20);
  EXPECT_EQ(backend->stats().max_waiting, 3);
  EXPECT_EQ(backend->stats().max_running, 5);
  EXPECT_EQ(backend->stats().n_blocks_total, 7);
  EXPECT_EQ(backend->stats().kv_bytes_total, 64 * 4 * 7);
  EXPECT_EQ(backend->stats().kv_bytes_touched, 0);
  EXPECT_EQ(backend->device(), "reference");
  EXPECT_EQ(backend->vocab_size(), static_cast<int>(kVocab));
  const auto sink = run(*backend, request_of(ids, 100));
  EXPECT_EQ(sink->tokens.size(), 11U);  // to 20
  EXPECT_EQ(backend->stats().kv_bytes_touched, 64 * 4 * 5);
  options.max_step_tokens = 4;
  options.kv_dtype = "f16";
  backend = load_native(small_llama(), options);
  EXPECT_EQ(backend->stats().max_running, 4);
  EXPECT_EQ(backend->stats().n_blocks_total, 14);
  const std::int64_t before = backend->stats().n_steps;
  run(*backend, request_of(ids, 1));
  EXPECT_EQ(backend->stats().n_steps - before, 3);  // 9 rows, 4 in a step
}

TEST(NativeBackend, TheMemoryOfTheCacheIsWhatTheDeviceTakes) {
  LoadOptions options = small_options();
  options.device = "cpu";
  options.max_model_len = 20;
  // 4 tokens in a block: the cpu device pads keys to 16 tokens, and values of 4 numbers to 16.
  constexpr std::int64_t kBlock = 2 * (16 * 4 + 4 * 16) * 4;
  options.kv_cache_bytes = kBlock * 7 + kBlock - 1;
  const auto backend = load_native(small_llama(), options);
  EXPECT_EQ(backend->stats().n_blocks_total, 7);
  EXPECT_EQ(backend->stats().kv_bytes_total, kBlock * 7);
  run(*backend, request_of({1, 2, 3, 4, 5}, 1));
  EXPECT_EQ(backend->stats().kv_bytes_touched, kBlock * 2);
}

std::unique_ptr<Backend> load_file(const std::string& name, const LoadOptions& options) {
  return native_backend().load(format::open_model(model::test::data_path(name)), options);
}

TEST(NativeBackend, AsManySequencesAsAskedForMayRun) {
  LoadOptions options = small_options();
  options.max_sequences = 100;
  options.max_step_tokens = 128;
  const auto backend = load_native(small_llama(), options);
  EXPECT_EQ(backend->stats().max_running, 100);
  // Reports of a prompt do not cut it where sequences are few.
  options = small_options();
  options.max_sequences = 1;
  const auto one = load_native(small_llama(), options);
  engine::Request request = request_of(std::vector<std::int32_t>(16, 3), 1);
  request.prompt_logits = true;
  EXPECT_EQ(run(*one, request)->logits.size(), 16 * kVocab);
  EXPECT_EQ(one->stats().n_steps, 1);
}

TEST(NativeBackend, KvIsRoundedBesideQuantisedWeightsOnly) {
  LoadOptions options;
  options.device = "cpu";
  options.kv_cache_bytes = 1 << 20;
  const auto bytes_of_block = [&](const char* model, const char* dtype) {
    options.kv_dtype = dtype;
    const EngineStats stats = load_file(model, options)->stats();
    return stats.kv_bytes_total / stats.n_blocks_total;
  };
  const std::int64_t whole = bytes_of_block("llama-gguf/q8_0/model.gguf", "f32");
  EXPECT_EQ(bytes_of_block("llama-gguf/q8_0/model.gguf", "f16"), whole / 2);
  const std::int64_t rounded = bytes_of_block("llama-gguf/q8_0/model.gguf", "int16");
  EXPECT_LT(rounded, whole * 2 / 3);
  EXPECT_EQ(bytes_of_block("llama-gguf/q8_0/model.gguf", "auto"), rounded);
  EXPECT_EQ(bytes_of_block("llama-gguf/f32/model.gguf", "auto"), whole);
}

/// Fast activations are rounded once more.
TEST(NativeBackend, FastActivationsReachTheDevice) {
  const auto logits = [](const char* device, bool fast) {
    LoadOptions options;
    options.device = device;
    options.fast_activations = fast;
    options.kv_dtype = "f32";
    options.kv_cache_bytes = 1 << 20;
    const auto backend = load_file("llama-gguf/q8_0/model.gguf", options);
    engine::Request request = request_of({1, 5, 9, 3, 7, 2}, 0);
    request.prompt_logits = true;
    const auto sink = std::make_shared<Sink>();
    sink->vocab = static_cast<std::size_t>(backend->vocab_size());
    request.sink = sink;
    backend->submit(std::move(request));
    sink->wait();
    return sink->logits;
  };
  const std::vector<float> exact = logits("reference", false);
  const auto error = [&](const std::vector<float>& other) {
    EXPECT_EQ(other.size(), exact.size());
    double sum = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) sum += std::abs(other[i] - exact[i]);
    return sum;
  };
  EXPECT_GT(error(logits("cpu", true)), 5 * error(logits("cpu", false)));
}

int count_threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

TEST(NativeBackend, ThreadsAreAsManyAsAskedFor) {
  LoadOptions options = small_options();
  options.device = "cpu";
  for (const int n : {1, 4}) {
    const int before = count_threads();
    options.n_threads = n;
    const auto backend = load_native(small_llama(), options);
    EXPECT_EQ(count_threads() - before, n);  // the engine's, which works too, and its helpers
  }
}

TEST(CheckOptions, TheEndsOfRangesAreWithin) {
  LoadOptions least;
  least.max_step_tokens = least.max_sequences = least.max_queue = least.kv_block_size = 1;
  least.n_threads = least.max_model_len = 0;
  least.kv_cache_bytes = 0;
  EXPECT_NO_THROW(check_options(least));
  LoadOptions most;
  most.max_step_tokens = 1 << 16;
  most.max_sequences = 4096;
  most.max_queue = 1 << 24;
  most.kv_block_size = most.n_threads = 1024;
  EXPECT_NO_THROW(check_options(most));
  most.max_queue += 1;
  EXPECT_THROW(check_options(most), Error);
}

TEST(NativeBackend, OptionsOutOfRangeAreNamed) {
  using Change = std::function<void(LoadOptions&)>;
  struct Case {
    const char* words;
    Change change;
  };
  const std::vector<Case> cases = {
      {"max_step_tokens: out of range (expected 1 to 65536, got 0)",
       [](LoadOptions& o) { o.max_step_tokens = 0; }},
      {"max_step_tokens", [](LoadOptions& o) { o.max_step_tokens = 65537; }},
      {"max_sequences", [](LoadOptions& o) { o.max_sequences = 0; }},
      {"max_sequences", [](LoadOptions& o) { o.max_sequences = 4097; }},
      {"max_queue", [](LoadOptions& o) { o.max_queue = 0; }},
      {"kv_block_size", [](LoadOptions& o) { o.kv_block_size = 0; }},
      {"kv_block_size", [](LoadOptions& o) { o.kv_block_size = 1025; }},
      {"n_threads", [](LoadOptions& o) { o.n_threads = -1; }},
      {"n_threads", [](LoadOptions& o) { o.n_threads = 1025; }},
      {"kv_cache_bytes", [](LoadOptions& o) { o.kv_cache_bytes = -1; }},
      {"kv_dtype", [](LoadOptions& o) { o.kv_dtype = "f8"; }},
      {"kv_dtype", [](LoadOptions& o) { o.kv_dtype = ""; }},
      {"device: no such device (expected one of cpu, reference; got gpu)",
       [](LoadOptions& o) { o.device = "gpu"; }},
      {"max_model_len", [](LoadOptions& o) { o.max_model_len = 33; }},
      {"max_model_len", [](LoadOptions& o) { o.max_model_len = -1; }},
  };
  for (const Case& c : cases) {
    LoadOptions options = small_options();
    c.change(options);
    const Error error = error_of([&] { load_native(small_llama(), options); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << c.words;
    EXPECT_THAT(error.what(), HasSubstr(c.words));
    // Known before anything is loaded, and thrown even where the model is none: it is no inability.
    const Error early = error_of([&] { (void)ask_native(options); });
    EXPECT_EQ(early.code(), ErrorCode::kInvalidArgument) << c.words;
    EXPECT_THAT(early.what(), HasSubstr(c.words));
  }
  EXPECT_FALSE(ask_native(small_options()).has_value());
}

TEST(MaxModelLen, MayBeTheLimitOfTheModelAndNotMore) {
  const auto resolve = [](int wanted, int limit) {
    LoadOptions options;
    options.max_model_len = wanted;
    return resolve_max_model_len(options, limit);
  };
  EXPECT_EQ(resolve(0, 100), 100);
  EXPECT_EQ(resolve(1, 100), 1);
  EXPECT_EQ(resolve(100, 100), 100);
  for (const int wanted : {-1, 101, std::numeric_limits<int>::max()}) {
    EXPECT_EQ(error_of([&] { resolve(wanted, 100); }).code(), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace openllm::backend
