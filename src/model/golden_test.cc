// Every family against Hugging Face transformers: logits of all positions and greedy continuations,
// on every device, in one go, in chunks and among other sequences.

#include <cmath>

#include "base/error.h"
#include "model/test_support.h"

namespace openllm::model::test {
namespace {

struct Case {
  std::string model;       // below tests/data/models
  std::string golden;      // folder of its golden
  bool quantised = false;  // only the reference device multiplies exactly

  friend void PrintTo(const Case& test, std::ostream* out) { *out << test.model; }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* name : {"llama", "llama-gguf", "llama-odd", "mistral", "qwen2", "qwen2-gguf",
                           "qwen3", "qwen3-bias", "gemma2", "gemma3", "gemma3-vision", "gpt2",
                           "gpt2-bare", "mixtral", "deepseek2", "t5", "t5-gated"}) {
    all.push_back({name, name});
  }
  for (const char* name : {"openai-gpt",
                           "gpt-neo",
                           "gptj",
                           "codegen",
                           "gpt-neox",
                           "gpt-neox-serial",
                           "gpt-bigcode",
                           "gpt-bigcode-heads",
                           "starcoder2",
                           "opt",
                           "opt-350m",
                           "bloom",
                           "mpt",
                           "mpt-clip",
                           "falcon",
                           "falcon-40b",
                           "falcon-rw",
                           "phi",
                           "phi-norms",
                           "phi3",
                           "stablelm",
                           "stablelm-12b",
                           "persimmon",
                           "biogpt",
                           "gemma",
                           "vaultgemma",
                           "olmo",
                           "olmo2",
                           "olmo3",
                           "cohere",
                           "cohere2",
                           "granite",
                           "glm",
                           "glm4",
                           "smollm3",
                           "nemotron",
                           "helium",
                           "arcee",
                           "jais2",
                           "seed-oss",
                           "ernie4-5",
                           "hunyuan-v1-dense",
                           "exaone4",
                           "ministral",
                           "qwen2-moe",
                           "qwen3-moe",
                           "olmoe",
                           "flex-olmo",
                           "granitemoe",
                           "minimax-m2",
                           "hunyuan-v1-moe",
                           "ernie4-5-moe",
                           "dots1",
                           "glm4-moe",
                           "deepseek3",
                           "gpt-oss",
                           "llama4",
                           "llama4-wrapped",
                           "gemma4",
                           "gemma4-keys",
                           "phimoe",
                           "apertus",
                           "xglm",
                           "ministral3",
                           "mistral3",
                           "glm4-moe-lite",
                           "deepseek-v32",
                           "exaone-moe",
                           "minicpm3",
                           "bitnet",
                           "afmoe",
                           "solar-open",
                           "cwm",
                           "nanochat",
                           "hy-v3",
                           "hyperclovax",
                           "granitemoeshared",
                           "granite-swa",
                           "granitemoe-swa",
                           "flint",
                           "mellum",
                           "exaone",
                           "internlm3",
                           "youtu",
                           "axk1",
                           "sarvam-mla",
                           "mt5",
                           "umt5",
                           "bart",
                           "mbart",
                           "marian",
                           "m2m-100",
                           "pegasus",
                           "blenderbot",
                           "blenderbot-small",
                           "t5-gguf",
                           "t5-gguf-gated"}) {
    all.push_back({name, name});
  }
  for (const char* name : {"lfm2",
                           "mamba",
                           "falcon-mamba",
                           "mamba2",
                           "jamba",
                           "bamba",
                           "falcon-h1",
                           "falcon-h1-plain",
                           "granitemoehybrid",
                           "granitemoehybrid-dense",
                           "nemotron-h",
                           "lfm2-moe",
                           "qwen3-next",
                           "qwen3-5",
                           "qwen3-5-moe",
                           "olmo-hybrid",
                           "kimi-linear",
                           "minimax",
                           "qwen2-moe-sparse",
                           "qwen3-next-sparse",
                           "qwen3-moe-wide",
                           "minimax-plain"}) {
    all.push_back({name, name});
  }
  // Of families without a class in transformers: tools/make_published_models.py.
  for (const char* name : {"internlm2",      "internlm2-plain",  "baichuan", "baichuan2-13b",
                           "chatglm",        "chatglm-switches", "qwen",     "minicpm",
                           "minicpm4",       "minicpm-moe",      "deepseek", "bailing-moe",
                           "bailing-moe-v2", "internlm",         "orion",    "xverse",
                           "aquila",         "skywork",          "yi",       "jais",
                           "dbrx",           "stablelm-epoch",   "telechat", "openelm",
                           "nemotron-nas"}) {
    all.push_back({name, name});
  }
  for (const char* name :
       {"internlm2-plain", "baichuan", "baichuan2-13b", "chatglm", "qwen", "minicpm", "deepseek",
        "bailing-moe", "bailing-moe-v2", "orion", "xverse", "jais", "dbrx"}) {
    all.push_back({std::string(name) + "/f32/model.gguf", name});
  }
  for (const char* name :
       {"recurrent-gemma", "zamba2", "zamba2-plain", "rwkv", "gemma3n", "gemma3n-plain",
        "gemma4-moe", "t5gemma", "sarvam-moe", "cohere2-moe", "cohere2-moe-softmax", "glm-moe-dsa",
        "plbart", "mvp", "gemma4-unified"}) {
    all.push_back({name, name});
  }
  for (const char* name : {"bert-decoder",
                           "roberta-decoder",
                           "electra-decoder",
                           "bert-generation",
                           "megatron-bert-decoder",
                           "big-bird-decoder",
                           "rembert-decoder",
                           "roformer-decoder",
                           "modernbert-decoder",
                           "xlm",
                           "ctrl",
                           "gpt-neox-japanese",
                           "bart-decoder",
                           "diffllama",
                           "kolibri1",
                           "mimo-v2-flash",
                           "laguna",
                           "laguna-wide",
                           "lara-mini",
                           "switch-transformers",
                           "granitemoe-renamed",
                           "glm-odd",
                           "cohere2-heads",
                           "bart-untied",
                           "megatron-bert-untied",
                           "lfm3",
                           "aria-text",
                           "llava",
                           "qwen2-vl",
                           "qwen2-5-vl",
                           "qwen3-vl",
                           "qwen3-vl-moe",
                           "qwen3-vl-moe-turned",
                           "glm4v",
                           "smolvlm",
                           "aya-vision",
                           "internvl",
                           "fuyu",
                           "emu3",
                           "led",
                           "bigbird-pegasus",
                           "fsmt",
                           "gemma4-wrapped",

                           "qwen2-5-omni",
                           "qwen3-omni-moe",
                           "gemma4-unified-wrapped",
                           "gemma3n-gguf",
                           "qwen3-vl-moe-sparse",
                           "mamba-gelu"}) {
    all.push_back({name, name});
  }
  for (const char* name : {"llama-gguf", "qwen2-gguf", "qwen3", "gemma2", "gemma3", "gpt2-bare",
                           "t5-gguf", "t5-gguf-gated"}) {
    all.push_back({std::string(name) + "/f32/model.gguf", name});
  }
  // Written by llama.cpp's converter.
  for (const char* name : {"arcee",
                           "cohere",
                           "deepseek2",
                           "deepseek3",
                           "ernie4-5",
                           "ernie4-5-moe",
                           "exaone",
                           "exaone4",
                           "gemma",
                           "glm4",
                           "glm4-moe",
                           "gpt-bigcode",
                           "granite",
                           "granitemoe",
                           "granitemoeshared",
                           "internlm3",
                           "jais2",
                           "minimax-m2",
                           "mixtral",
                           "olmo",
                           "olmo2",
                           "olmo3",
                           "phi3",
                           "qwen3-moe",
                           "seed-oss",
                           "stablelm",
                           "mamba",
                           "falcon-mamba",
                           "jamba",
                           "falcon-h1-plain",
                           "granitemoehybrid",
                           "nemotron-h",
                           "lfm2-moe",
                           "qwen3-5",
                           "qwen3-5-moe",
                           "falcon",
                           "falcon-40b",
                           "bloom",
                           "gpt-neox",
                           "mpt",
                           "hunyuan-v1-moe",
                           "glm4-moe-lite",
                           "exaone-moe",
                           "nemotron",
                           "glm",
                           "qwen2-moe-sparse",
                           "qwen3-next-sparse",
                           "hy-v3",
                           "granitemoe-swa",
                           "minimax-plain",
                           "solar-open",
                           "apertus",
                           "openelm",
                           "nemotron-nas",
                           "gemma4",
                           "gemma4-keys",
                           "gemma4-moe",
                           "gemma3n-gguf",
                           "qwen2-vl",
                           "qwen2-5-vl",
                           "qwen3-vl",
                           "qwen3-vl-moe-sparse",
                           "glm-moe-dsa",
                           "deepseek-v32"}) {
    all.push_back({std::string(name) + "/f32/model.gguf", name});
  }
  for (const char* name : {"cohere2",
                           "dots1",
                           "gpt-oss",
                           "olmoe",
                           "smollm3",
                           "starcoder2",
                           "mamba2",
                           "bamba",
                           "falcon-h1",
                           "lfm2",
                           "kimi-linear",
                           "mpt-clip",
                           "hunyuan-v1-dense",
                           "minicpm3",
                           "ministral3",
                           "afmoe",
                           "llama4",
                           "granite-swa",
                           "granitemoehybrid-dense",
                           "bitnet",
                           "phimoe"}) {
    all.push_back({std::string(name) + "/f32/model.gguf", std::string(name) + "/f32"});
  }
  for (const char* name : {"llama-gguf", "qwen3", "gemma3", "qwen3-moe-wide"}) {
    all.push_back({std::string(name) + "/q8_0/model.gguf", std::string(name) + "/q8_0", true});
  }
  all.push_back({"qwen3-moe-kquants/model.gguf", "qwen3-moe-kquants", true});
  for (const char* name :
       {"llama-gptq", "llama-gptq-act-order", "llama-gptq-8bit", "llama-gptq-8bit-act-order",
        "llama-gptq-2bit", "mixtral-gptq-act-order"}) {
    all.push_back({name, name, true});
  }
  for (const char* name :
       {"llama-ct-w8a8", "llama-ct-w8-asym", "llama-ct-w4a16", "llama-ct-w4-asym",
        "llama-ct-w8-packed", "llama-ct-nvfp4", "llama-ct-mxfp4", "llama-awq", "llama-awq-gemv",
        "llama-bnb-int8", "llama-gptq-3bit", "gpt_oss-mxfp4", "llama-hqq", "llama-hqq-columns",
        "llama-gptq-dynamic", "llama-torchao-intx", "llama-torchao-int4", "llama-torchao-bin"}) {
    all.push_back({name, name, true});
  }
  // Codes of floats are multiplied as the values that they stand for.
  for (const char* name :
       {"llama-fp8-block", "llama-fp8-ue8m0", "llama-fp8-tensor", "llama-fp8-e5m2", "llama-ct-fp8",
        "llama-ct-fp8-block", "llama-bnb-nf4", "llama-bnb-fp4", "llama-pytorch",
        "llama-torchao-fp8", "qwen3-moe-fp8", "qwen3-moe-fp8-halves", "qwen3-moe-ct-fp8"}) {
    all.push_back({name, name});
  }
  // As Flax and TensorFlow models are saved (tools/make_foreign_models.py).
  for (const char* name : {"gpt2", "gemma", "bart", "t5-gated"}) {
    all.push_back({std::string(name) + "-flax", name});
  }
  for (const char* name : {"gpt2", "marian", "t5-gated"}) {
    all.push_back({std::string(name) + "-tf", name});
  }
  return all;
}

double worst_difference(const std::vector<float>& got, const float* expected) {
  double worst = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference =
        std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    // NaN must not pass.
    worst = difference <= worst ? worst : difference;
  }
  return worst;
}

/// Size of the differences relative to the size of the logits, both as root mean square.
double relative_error(const std::vector<float>& got, const float* expected) {
  double difference = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double wanted = static_cast<double>(expected[i]);
    difference += (static_cast<double>(got[i]) - wanted) * (static_cast<double>(got[i]) - wanted);
    size += wanted * wanted;
  }
  return std::sqrt(difference / size);
}

std::int32_t argmax(const float* logits, std::size_t n) {
  return static_cast<std::int32_t>(std::max_element(logits, logits + n) - logits);
}

class GoldenTest : public testing::TestWithParam<std::tuple<Case, std::string>> {
 protected:
  void SetUp() override {
    const Case& test = std::get<0>(GetParam());
    golden_ = read_golden(data_path(test.golden));
    checkpoint_ = format::open_checkpoint(data_path(test.model));
    exact_ = std::get<1>(GetParam()) == "reference" || !test.quantised;
  }

  Runner runner() {
    Runner runner(*checkpoint_, std::get<1>(GetParam()));
    // Ropes that depend on length take that of the prompt, as transformers in one pass.
    runner.set_rope_len(static_cast<std::int32_t>(golden_.prompt.size()));
    return runner;
  }

  Golden golden_;
  std::unique_ptr<format::Checkpoint> checkpoint_;
  bool exact_ = true;
};

TEST_P(GoldenTest, LogitsOfEveryPosition) {
  Runner model = runner();
  const std::vector<float> logits = model.step({{0, golden_.prompt, golden_.source}});
  ASSERT_EQ(logits.size(), golden_.logits.size());
  const double worst = worst_difference(logits, golden_.logits.data());
  // tools/make_golden_table.py makes docs/models.md's table of these.
  RecordProperty("model", std::get<0>(GetParam()).model);
  RecordProperty("device", std::get<1>(GetParam()));
  RecordProperty("difference", base::cat(worst));
  if (exact_) {
    EXPECT_LE(worst, 1e-4);
  } else {
    // Activations keep about 16 bits where a device multiplies quantised weights.
    EXPECT_LE(relative_error(logits, golden_.logits.data()), 5e-4);
  }
}

TEST_P(GoldenTest, GreedyContinuation) {
  Runner model = runner();
  std::vector<float> logits = model.step({{1, golden_.prompt, golden_.source}}, false);
  std::vector<std::int32_t> ids;
  while (ids.size() < golden_.greedy.size()) {
    ids.push_back(argmax(logits.data(), golden_.vocab_size));
    logits = model.step({{1, {ids.back()}}}, false);
  }
  EXPECT_EQ(ids, golden_.greedy);
}

TEST_P(GoldenTest, SizesAloneAreThoseOfALoadedModel) {
  if (std::get<1>(GetParam()) != "cpu") return;  // others take the numbers as well
  const auto full = device::make_device("cpu", {.n_threads = 1});
  const auto sizes = device::make_device("cpu", {.n_threads = 1, .sizes_only = true});
  const auto loaded = Model::load(*checkpoint_, *full, {});
  const auto outline = Model::load(*checkpoint_, *sizes, {});
  EXPECT_EQ(outline->weight_bytes(), loaded->weight_bytes());
  EXPECT_EQ(outline->memory_bytes(), loaded->memory_bytes());
  EXPECT_GE(outline->memory_bytes(), outline->weight_bytes());
  EXPECT_EQ(outline->n_parameters(), loaded->n_parameters());
  EXPECT_EQ(outline->n_idle_parameters(), loaded->n_idle_parameters());
  ASSERT_EQ(outline->kv_groups().size(), loaded->kv_groups().size());
  for (std::size_t i = 0; i < loaded->kv_groups().size(); ++i)
    EXPECT_EQ(outline->kv_groups()[i].bytes_per_block, loaded->kv_groups()[i].bytes_per_block);
}

TEST_P(GoldenTest, ChunksOfOddSizes) {
  Runner model = runner();
  const std::vector<float> whole = model.step({{0, golden_.prompt, golden_.source}});
  std::vector<float> chunked;
  const std::size_t sizes[] = {1, 7, 3, 5, 11, 2};
  std::size_t begin = 0;
  for (std::size_t i = 0; begin < golden_.prompt.size(); ++i) {
    const std::size_t n = std::min(sizes[i % 6], golden_.prompt.size() - begin);
    const auto from = golden_.prompt.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<float> part =
        model.step({{1,
                     {from, from + static_cast<std::ptrdiff_t>(n)},
                     begin == 0 ? golden_.source : std::vector<std::int32_t>()}});
    chunked.insert(chunked.end(), part.begin(), part.end());
    begin += n;
  }
  EXPECT_EQ(chunked, whole) << "results must not depend on how rows are cut into steps";
}

TEST_P(GoldenTest, ManySequencesInOneBatch) {
  Runner alone = runner();
  Runner model = runner();
  const std::vector<std::int32_t>& prompt = golden_.prompt;
  const std::vector<std::int32_t> reversed(prompt.rbegin(), prompt.rend());
  const std::vector<std::int32_t> head(prompt.begin(), prompt.begin() + 5);
  const std::vector<std::int32_t> tail(prompt.begin() + 5, prompt.end());
  const auto late_end = std::min<std::ptrdiff_t>(13, std::ssize(prompt));
  const std::vector<std::int32_t> late(prompt.begin() + 2, prompt.begin() + late_end);
  const std::vector<std::int32_t>& source = golden_.source;
  const std::vector<std::int32_t> other(source.rbegin(), source.rend());
  std::vector<float> expected = alone.step({{0, prompt, source}});
  const std::vector<float> expected_reversed = alone.step({{1, reversed, other}});
  const std::vector<float> expected_late = alone.step({{2, late, other}});
  const std::size_t vocab = golden_.vocab_size;

  std::vector<float> got = model.step({{3, head, source}, {0, reversed, other}});
  std::vector<float> ours(got.begin(),
                          got.begin() + static_cast<std::ptrdiff_t>(head.size() * vocab));
  EXPECT_TRUE(std::equal(expected_reversed.begin(), expected_reversed.end(),
                         got.begin() + static_cast<std::ptrdiff_t>(ours.size())));
  got = model.step({{1, late, other}, {3, tail}});
  EXPECT_TRUE(std::equal(expected_late.begin(), expected_late.end(), got.begin()));
  ours.insert(ours.end(), got.begin() + static_cast<std::ptrdiff_t>(expected_late.size()),
              got.end());
  EXPECT_EQ(ours, expected);
}

TEST_P(GoldenTest, OnlyWantedRows) {
  Runner model = runner();
  const std::vector<float> all = model.step({{0, golden_.prompt, golden_.source}});
  const std::vector<float> last = model.step({{1, golden_.prompt, golden_.source}}, false);
  ASSERT_EQ(last.size(), golden_.vocab_size);
  EXPECT_TRUE(
      std::equal(last.begin(), last.end(), all.end() - static_cast<std::ptrdiff_t>(last.size())));
}

std::string case_name(const testing::TestParamInfo<std::tuple<Case, std::string>>& info) {
  std::string name = std::get<0>(info.param).model + "_" + std::get<1>(info.param);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTest,
                         testing::Combine(testing::ValuesIn(cases()),
                                          testing::Values("reference", "cpu")),
                         case_name);

// Encoders: hidden states of whole sequences, alone and among others.
TEST(EncoderTest, HiddenStatesAreThoseOfTransformers) {
  const std::string folder = data_path("bert");
  const base::Json golden =
      base::Json::parse(base::read_file(folder + "/golden.json"), "golden.json");
  const std::vector<std::int32_t> prompt = to_ids(*golden.find("prompt"));
  const std::vector<float> expected = read_floats(folder + "/golden.hidden");
  const auto checkpoint = format::open_checkpoint(folder);
  for (const char* name : {"reference", "cpu"}) {
    const auto device = device::make_device(name, {.n_threads = 2});
    const auto model = Model::load(*checkpoint, *device, {.max_rows = 64, .max_output_rows = 64});
    EXPECT_TRUE(model->kv_groups().empty());
    model->allocate_kv({});
    step::Step step;
    const auto add = [&](const std::vector<std::int32_t>& ids) {
      const auto first = static_cast<std::int32_t>(step.token_ids.size());
      step.sequences.push_back(
          {.first_row = first, .n_rows = static_cast<std::int32_t>(ids.size())});
      for (std::size_t i = 0; i < ids.size(); ++i) {
        step.hidden_rows.push_back(first + static_cast<std::int32_t>(i));
        step.token_ids.push_back(ids[i]);
        step.positions.push_back(static_cast<std::int32_t>(i));
      }
    };
    add(prompt);
    const float* hidden = model->forward(step).hidden;
    const std::vector<float> alone(hidden, hidden + expected.size());
    EXPECT_LE(worst_difference(alone, expected.data()), 1e-4) << name;
    step.clear();
    add({5, 9, 7});
    add(prompt);
    hidden = model->forward(step).hidden;
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), hidden + 3 * model->spec().dim)) << name;
    step.logit_rows = {0};
    EXPECT_EQ(error_of([&] { model->forward(step); }).code(), ErrorCode::kInvalidArgument);
    step.logit_rows.clear();
    step.sequences[0].past_len = 1;
    EXPECT_THAT(error_of([&] { model->forward(step); }).what(),
                testing::HasSubstr("whole sequences"));
  }
}

TEST(EncoderDecoderTest, SourcesComeWholeAndFromTheVocabulary) {
  const auto checkpoint = format::open_checkpoint(data_path("t5"));
  Runner model(*checkpoint, "reference");
  ASSERT_EQ(model.model().kv_groups().size(), 2U);
  EXPECT_THAT(error_of([&] {
                model.step({{0, {1, 2}}});
              }).what(),
              testing::HasSubstr("source length"));
  EXPECT_THAT(error_of([&] {
                model.step({{0, {1, 2}, {5, 120}}});
              }).what(),
              testing::HasSubstr("source token id out of range"));
  const auto plain = format::open_checkpoint(data_path("llama"));
  Runner causal(*plain, "reference");
  EXPECT_THAT(error_of([&] {
                causal.step({{0, {1, 2}, {5}}});
              }).what(),
              testing::HasSubstr("source length"));
}

// Each kind of attention that keeps keys and values: whole, in a window, latent (where rounding may
// send a row to other experts).
TEST(KvDtypeTest, RoundedCachesAreCloseToFullOnes) {
  using device::KvType;
  struct Rounded {
    const char* model;
    KvType type;
    double most;  ///< Error relative to the size of the logits.
  };
  for (const Rounded& c :
       {Rounded{"mistral", KvType::kInt16, 0.001}, Rounded{"gemma3", KvType::kInt16, 0.001},
        Rounded{"mistral", KvType::kF16, 0.002}, Rounded{"gemma3", KvType::kF16, 0.002},
        Rounded{"deepseek2", KvType::kF16, 0.1}, Rounded{"mistral", KvType::kInt8, 0.05},
        Rounded{"gemma3", KvType::kInt8, 0.05}, Rounded{"deepseek2", KvType::kInt8, 0.5}}) {
    const auto checkpoint = format::open_checkpoint(data_path(c.model));
    const Golden golden = read_golden(data_path(c.model));
    for (const char* device : {"reference", "cpu"}) {
      Runner model(*checkpoint, device, c.type);
      const std::vector<float> logits = model.step({{0, golden.prompt}});
      const double error = relative_error(logits, golden.logits.data());
      EXPECT_LE(error, c.most) << c.model << " " << device;
      EXPECT_GT(error, 1e-6) << c.model << " " << device << ": really rounded?";
    }
  }
}

// The same rounded numbers on both devices.
TEST(KvDtypeTest, DevicesAgreeOnRoundedCaches) {
  for (const char* name : {"mistral", "gemma3", "deepseek2", "t5"}) {
    const auto checkpoint = format::open_checkpoint(data_path(name));
    const Golden golden = read_golden(data_path(name));
    Feed feed{0, golden.prompt};
    if (name == std::string("t5")) feed.source = golden.source;
    for (const device::KvType type :
         {device::KvType::kF16, device::KvType::kInt8, device::KvType::kInt16}) {
      Runner reference(*checkpoint, "reference", type);
      Runner cpu(*checkpoint, "cpu", type);
      const std::vector<float> want = reference.step({feed});
      EXPECT_LE(worst_difference(cpu.step({feed}), want.data()), 2e-2) << name;
    }
  }
}

}  // namespace
}  // namespace openllm::model::test
