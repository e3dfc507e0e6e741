// LoRA adapters against peft (tools/make_adapter_goldens.py), and mixed in one step.

#include "model/adapters/adapters.h"

#include <cmath>

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

using testing::HasSubstr;

std::string adapter_path(const std::string& name) {
  return std::string(OPENLLM_TEST_DATA) + "/adapters/" + name;
}

void mount(Model& model, int id, const std::string& name) {
  const auto checkpoint = format::open_adapter(adapter_path(name));
  mount_adapter(model, id, read_adapter(*checkpoint));
}

std::vector<float> part(const std::vector<float>& values, std::size_t begin, std::size_t n) {
  const auto from = values.begin() + static_cast<std::ptrdiff_t>(begin);
  return {from, from + static_cast<std::ptrdiff_t>(n)};
}

struct Case {
  const char* adapter;
  const char* base;
  friend void PrintTo(const Case& test, std::ostream* out) {
    *out << test.adapter << " on " << test.base;
  }
};

class AdapterGoldenTest : public testing::TestWithParam<std::tuple<Case, std::string>> {};

TEST_P(AdapterGoldenTest, LogitsAndGreedyIds) {
  const auto& [test, device] = GetParam();
  const Golden golden = read_golden(adapter_path(test.adapter));
  const auto base = format::open_checkpoint(data_path(test.base));
  Runner model(*base, device);
  mount(model.model(), 1, test.adapter);
  std::vector<float> logits = model.step({{0, golden.prompt, golden.source, 1}});
  ASSERT_EQ(logits.size(), golden.logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    ASSERT_NEAR(logits[i], golden.logits[i], 1e-4) << "row " << i / golden.vocab_size;
  }
  std::vector<std::int32_t> ids;
  while (ids.size() < golden.greedy.size()) {
    const auto last = logits.end() - static_cast<std::ptrdiff_t>(golden.vocab_size);
    ids.push_back(static_cast<std::int32_t>(std::max_element(last, logits.end()) - last));
    logits = model.step({{0, {ids.back()}, {}, 1}}, false);
  }
  EXPECT_EQ(ids, golden.greedy);
}

INSTANTIATE_TEST_SUITE_P(
    Adapters, AdapterGoldenTest,
    testing::Combine(
        testing::Values(
            Case{"llama-qv", "llama"}, Case{"llama-all", "llama"}, Case{"llama-gguf", "llama-gguf"},
            Case{"llama-gguf", "llama-gguf/f32/model.gguf"}, Case{"gemma3", "gemma3"},
            Case{"gemma3", "gemma3/f32/model.gguf"}, Case{"gemma3-vision", "gemma3-vision"},
            Case{"gpt2", "gpt2"}, Case{"gpt2-bare", "gpt2-bare"},
            Case{"gpt2-bare", "gpt2-bare/f32/model.gguf"}, Case{"deepseek2", "deepseek2"},
            Case{"t5", "t5"}, Case{"llama-dora", "llama"}, Case{"gpt2-dora", "gpt2"},
            Case{"qwen3-patterns", "qwen3"}, Case{"qwen2-bias", "qwen2"},
            Case{"llama-saved", "llama"}, Case{"llama-head", "llama"},
            Case{"gemma3-table", "gemma3"}, Case{"gemma3-table", "gemma3/f32/model.gguf"},
            Case{"qwen3-tokens", "qwen3"}, Case{"qwen3-moe", "qwen3-moe"},
            Case{"gpt-oss", "gpt-oss"}, Case{"mixtral", "mixtral"},
            Case{"mixtral", "mixtral/f32/model.gguf"}, Case{"gpt-neox", "gpt-neox"},
            Case{"gpt-neox", "gpt-neox/f32/model.gguf"}, Case{"deepseek2-heads", "deepseek2"},
            Case{"glm4-bin", "glm4"}, Case{"qwen3-norms", "qwen3"}, Case{"gemma3-norms", "gemma3"},
            Case{"gemma3-norms", "gemma3/f32/model.gguf"}, Case{"qwen3-next-norms", "qwen3-next"},
            Case{"qwen3-moe-old", "qwen3-moe"}, Case{"gpt-oss-old", "gpt-oss"},
            Case{"exaone", "exaone"}, Case{"sarvam-moe", "sarvam-moe"},
            Case{"granitemoe", "granitemoe"}, Case{"zamba2", "zamba2"},
            Case{"bert-decoder", "bert-decoder"}, Case{"bart-tokens", "bart"},
            Case{"mamba2-norms", "mamba2"}, Case{"gpt2-bias", "gpt2"}, Case{"bart-norms", "bart"}),
        testing::Values("reference", "cpu")),
    [](const auto& test) {
      std::string name = base::cat(std::get<0>(test.param).adapter, "_",
                                   std::get<0>(test.param).base, "_", std::get<1>(test.param));
      for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
      }
      return name;
    });

void expect_near(const std::vector<float>& got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-4) << i;
}

// The same adapter in a file of GGUF, for the base in either format: with rows of heads in another
// order, of stacked experts, and of norms to which the converter adds 1.
TEST(AdapterTest, GgufFiles) {
  for (const Case test : {Case{"llama-gguf", "llama-gguf"}, Case{"qwen3-moe-gguf", "qwen3-moe"},
                          Case{"gemma3-norms", "gemma3"}, Case{"gpt-neox-gguf", "gpt-neox"}}) {
    const Golden golden = read_golden(adapter_path(test.adapter));
    const auto file = format::open_adapter(adapter_path(test.adapter) + "/adapter.gguf");
    for (const char* end : {"", "/f32/model.gguf"}) {
      const auto checkpoint = format::open_checkpoint(data_path(std::string(test.base) + end));
      for (const char* device : {"reference", "cpu"}) {
        SCOPED_TRACE(base::cat(test.adapter, end, " ", device));
        Runner model(*checkpoint, device);
        mount_adapter(model.model(), 1, read_adapter(*file));
        expect_near(model.step({{0, golden.prompt, {}, 1}}), golden.logits);
      }
    }
  }
}

// What is computed beside the weights is what peft gets by adding to them.
TEST(AdapterTest, AsMerged) {
  for (const Case test : {Case{"llama-all", "llama"}, Case{"llama-dora", "llama"},
                          Case{"gpt2-dora", "gpt2"}, Case{"qwen3-moe", "qwen3-moe"}}) {
    SCOPED_TRACE(test.adapter);
    const std::string folder = adapter_path(test.adapter);
    const Golden golden = read_golden(folder);
    const std::vector<float> merged = read_floats(folder + "/merged.logits");
    const auto checkpoint = format::open_checkpoint(data_path(test.base));
    Runner model(*checkpoint, "cpu");
    mount(model.model(), 1, test.adapter);
    expect_near(model.step({{0, golden.prompt, {}, 1}}), merged);
  }
}

class AdapterMixTest : public testing::TestWithParam<std::string> {
 protected:
  AdapterMixTest()
      : checkpoint_(format::open_checkpoint(data_path("llama"))),
        golden_(read_golden(adapter_path("llama-qv"))) {}

  /// A model with adapters of different ranks and targets, one of a head, one of norms.
  Runner runner() {
    Runner model(*checkpoint_, GetParam(), device::KvType::kF32, 6);
    mount(model.model(), 1, "llama-qv");
    mount(model.model(), 7, "llama-all");
    mount(model.model(), 8, "llama-head");
    mount(model.model(), 9, "llama-norms");
    return model;
  }

  std::unique_ptr<format::Checkpoint> checkpoint_;
  Golden golden_;
};

TEST_P(AdapterMixTest, SameBitsAloneAndTogether) {
  const std::vector<std::int32_t>& prompt = golden_.prompt;
  const std::int32_t adapters[] = {7, 0, 1, 9, 8, 1};
  std::vector<float> alone;
  for (const std::int32_t adapter : adapters) {
    Runner model = runner();
    const std::vector<float> logits = model.step({{0, prompt, {}, adapter}});
    alone.insert(alone.end(), logits.begin(), logits.end());
  }
  Runner model = runner();
  std::vector<Feed> feeds;
  for (const std::int32_t adapter : adapters)
    feeds.push_back({static_cast<int>(feeds.size()), prompt, {}, adapter});
  EXPECT_EQ(model.step(feeds), alone);
  const std::size_t n = golden_.logits.size();
  EXPECT_NE(part(alone, 0, n), part(alone, n, n));
  EXPECT_NE(part(alone, 0, n), part(alone, 2 * n, n));
  EXPECT_NE(part(alone, n, n), part(alone, 2 * n, n));
}

TEST_P(AdapterMixTest, SameBitsInChunksAmongOthers) {
  const std::vector<std::int32_t>& prompt = golden_.prompt;
  Runner whole = runner();
  const std::vector<float> one = whole.step({{0, prompt, {}, 1}});
  const std::vector<float> seven = whole.step({{1, prompt, {}, 7}});
  Runner model = runner();
  std::vector<float> got_one;
  std::vector<float> got_seven;
  const std::size_t sizes[] = {1, 5, 3, 4, 3};
  const std::size_t vocab = golden_.vocab_size;
  std::size_t begin = 0;
  for (const std::size_t n : sizes) {
    const auto from = prompt.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<std::int32_t> ids(from, from + static_cast<std::ptrdiff_t>(n));
    const std::vector<float> got =
        model.step({{0, ids, {}, 1}, {3, {ids[0]}, {}, 0}, {1, ids, {}, 7}});
    for (std::size_t i = 0; i < n * vocab; ++i) {
      got_one.push_back(got[i]);
      got_seven.push_back(got[(n + 1) * vocab + i]);
    }
    begin += n;
  }
  ASSERT_EQ(begin, prompt.size());
  EXPECT_EQ(got_one, one);
  EXPECT_EQ(got_seven, seven);
}

// Behind the last mixer only rows with results are left.
TEST_P(AdapterMixTest, OutputRowsKeepTheirAdapters) {
  const std::vector<std::int32_t>& prompt = golden_.prompt;
  const std::vector<Feed> feeds = {{0, prompt, {}, 7}, {1, {5, 6}, {}, 0}, {2, prompt, {}, 1},
                                   {3, prompt, {}, 8}, {4, {7}, {}, 0},    {5, prompt, {}, 9}};
  Runner all = runner();
  const std::vector<float> logits = all.step(feeds);
  Runner last = runner();
  const std::vector<float> got = last.step(feeds, false);
  const std::size_t vocab = golden_.vocab_size;
  const std::size_t n = prompt.size();
  const std::size_t rows[] = {n - 1, n + 1, 2 * n + 1, 3 * n + 1, 3 * n + 2, 4 * n + 2};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(part(got, i * vocab, vocab), part(logits, rows[i] * vocab, vocab)) << i;
  }
}

TEST_P(AdapterMixTest, UnmountedIsAsIfItHadNeverBeen) {
  Runner bare(*checkpoint_, GetParam());
  const std::vector<float> expected = bare.step({{0, golden_.prompt}});
  Runner model = runner();
  model.step({{1, golden_.prompt, {}, 7}});
  EXPECT_EQ(model.step({{0, golden_.prompt}}), expected);
  model.model().unmount_adapter(7);
  EXPECT_EQ(model.step({{3, golden_.prompt}}), expected);
  EXPECT_THAT(error_of([&] {
                model.step({{2, golden_.prompt, {}, 7}});
              }).what(),
              HasSubstr("no such adapter is mounted (got 7)"));
}

INSTANTIATE_TEST_SUITE_P(Devices, AdapterMixTest, testing::Values("reference", "cpu"));

// The base keeps its quantised form; only what the adapter adds is multiplied in full precision.
TEST(AdapterTest, QuantisedBase) {
  const auto checkpoint = format::open_checkpoint(data_path("llama-gguf/q8_0/model.gguf"));
  const Golden golden = read_golden(adapter_path("llama-gguf"));
  std::vector<std::vector<float>> results;
  for (const char* device : {"reference", "cpu"}) {
    Runner alone(*checkpoint, device);
    mount(alone.model(), 1, "llama-gguf");
    results.push_back(alone.step({{0, golden.prompt, {}, 1}}));
    Runner together(*checkpoint, device);
    mount(together.model(), 1, "llama-gguf");
    const std::vector<float> both =
        together.step({{1, golden.prompt, {}, 0}, {0, golden.prompt, {}, 1}});
    EXPECT_EQ(part(both, results.back().size(), results.back().size()), results.back()) << device;
  }
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    ASSERT_NEAR(results[0][i], results[1][i], 0.005) << i;
    // Q8_0 rounds the base's weights, no more.
    ASSERT_NEAR(results[0][i], golden.logits[i], 0.6) << i;
  }
}

// An encoder's rows have the adapter of the sequence that their text belongs to.
TEST(AdapterTest, SourcesAmongOthers) {
  const auto checkpoint = format::open_checkpoint(data_path("t5"));
  const Golden golden = read_golden(adapter_path("t5"));
  const std::vector<std::int32_t> other(golden.source.rbegin(), golden.source.rend());
  for (const char* device : {"reference", "cpu"}) {
    const auto run = [&](const std::vector<Feed>& feeds) {
      Runner model(*checkpoint, device);
      mount(model.model(), 1, "t5");
      return model.step(feeds);
    };
    const Feed bare{0, golden.prompt, golden.source, 0};
    const Feed adapted{1, golden.prompt, golden.source, 1};
    const Feed third{2, golden.prompt, other, 1};
    std::vector<float> alone;
    for (const Feed& feed : {bare, adapted, third}) {
      const std::vector<float> logits = run({feed});
      alone.insert(alone.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(run({bare, adapted, third}), alone) << device;
  }
}

TEST(AdapterRowsTest, NeighboursAreTakenTogether) {
  const auto device = device::make_device("reference", {});
  const MemoryCheckpoint checkpoint = small_llama();
  const ModuleLayout layout;
  const Layouts layouts{&layout, &layout};
  const std::function<void(double)> no_progress;
  WeightLoader loader(checkpoint, layouts, *device, no_progress);
  Adapters adapters(loader);
  for (const int id : {1, 2}) {
    adapters.set(id, std::make_unique<AdapterMix>(std::vector<AdapterPart>{}, *device));
  }
  const step::Step step{.token_ids = std::vector<std::int32_t>(8),
                        .sequences = {{.first_row = 0, .n_rows = 2, .adapter = 1},
                                      {.first_row = 2, .n_rows = 1, .adapter = 1},
                                      {.first_row = 3, .n_rows = 2, .adapter = 0},
                                      {.first_row = 5, .n_rows = 2, .adapter = 2},
                                      {.first_row = 7, .n_rows = 1, .adapter = 1}},
                        .logit_rows = {0, 2, 4, 5, 7},
                        .hidden_rows = {1, 3, 6}};
  StepAdapters found;
  adapters.find_rows(step, found);
  const auto ranges = [](const std::vector<AdapterRows>& list) {
    std::vector<std::pair<std::int64_t, std::int64_t>> out;
    for (const AdapterRows& entry : list) out.emplace_back(entry.first_row, entry.n_rows);
    return out;
  };
  using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;
  EXPECT_EQ(ranges(found.rows), (Ranges{{0, 3}, {5, 2}, {7, 1}}));
  // Logit rows 0, 2 | 4 | 5 | 7, then hidden rows 1 | 3 | 6.
  EXPECT_EQ(ranges(found.output_rows), (Ranges{{0, 2}, {3, 1}, {4, 2}, {7, 1}}));
  EXPECT_EQ(found.output_rows[2].adapter, found.rows[0].adapter);
  EXPECT_EQ(found.output_rows[3].adapter, found.rows[1].adapter);
}

TEST(FindModulesTest, AnyPrefixAndNothingElse) {
  ModuleLayout layout;
  layout.modules = {{Role{"a"}, "h.#.a"},
                    {Role{"e"}, "h.#.e.@.up"},
                    {Role{"head"}, "head", true},
                    {Role{"b"}, "h.#.a"}};
  layout.encoder_modules = {{Role{"a"}, "enc.#.a"}};
  layout.prefixes = {"model.", ""};
  using Found = std::vector<ModuleRef>;
  EXPECT_EQ(find_modules(layout, "model.h.12.a"),
            (Found{{Role{"a"}, {.layer = 12}}, {Role{"b"}, {.layer = 12}}}));
  EXPECT_EQ(find_modules(layout, "h.0.a"), (Found{{Role{"a"}, {}}, {Role{"b"}, {}}}));
  EXPECT_EQ(find_modules(layout, "h.3.e.45.up"), (Found{{Role{"e"}, {.layer = 3, .expert = 45}}}));
  EXPECT_EQ(find_modules(layout, "enc.2.a"), (Found{{Role{"a"}, {.layer = 2}, true}}));
  EXPECT_EQ(find_modules(layout, "head"), (Found{{Role{"head"}, {}}}));
  for (const char* name : {"", "model.", "h..a", "h.1.b", "h.1.a.", "xh.1.a", "h.1.e.up", "h.-1.a",
                           "h.00.a", "h.1234567.a"}) {
    EXPECT_EQ(find_modules(layout, name), Found{}) << name;
  }
}

TEST(ReorderHeadsTest, ToPairsAndBack) {
  std::vector<std::byte> rows;
  for (int i = 0; i < 12; ++i) rows.insert(rows.end(), {std::byte(i), std::byte(i + 100)});
  const std::vector<std::byte> paired = reorder_heads(rows, 2, 6, true);
  std::vector<int> order;
  for (std::size_t i = 0; i < paired.size(); i += 2) {
    order.push_back(std::to_integer<int>(paired[i]));
    EXPECT_EQ(std::to_integer<int>(paired[i + 1]), order.back() + 100);
  }
  EXPECT_THAT(order, testing::ElementsAre(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11));
  EXPECT_EQ(reorder_heads(paired, 2, 6, false), rows);
}

}  // namespace
}  // namespace openllm::model::test
