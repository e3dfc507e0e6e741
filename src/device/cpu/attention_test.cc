#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <optional>

#include "base/error.h"
#include "device/cpu/test_support.h"

namespace openllm::device {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

/// Sequences whose tokens go through the cache in steps, and the same attention by plain loops.
struct Scene {
  AttentionSpec spec{};
  int block_size = 32;
  KvType type = KvType::kF32;
  std::vector<int> lengths{};        ///< Tokens of each sequence in the end.
  std::vector<float> q{}, k{}, v{};  ///< All sequences' tokens one after the other.
  std::vector<std::vector<std::int32_t>> blocks{};
  int n_blocks = 0;
  std::vector<float> slopes{};  ///< Of a position bias, for each head.
  std::vector<float> sinks{};

  Scene(AttentionSpec s, int block, KvType kept, std::vector<int> n, std::uint64_t seed)
      : spec(s), block_size(block), type(kept), lengths(std::move(n)) {
    Random random(seed);
    std::int64_t total = 0;
    for (const int length : lengths) {
      total += length;
      std::vector<std::int32_t> ids;
      for (int i = 0; i * block_size < length; ++i) ids.push_back(n_blocks++);
      blocks.push_back(ids);
    }
    for (auto& ids : blocks) {  // not in order, and block 0 belongs to nobody
      for (auto& id : ids) id = n_blocks - id;
    }
    const auto heads = static_cast<std::size_t>(total * spec.head_dim);
    q = random.normals(heads * static_cast<std::size_t>(spec.n_heads));
    k = random.normals(heads * static_cast<std::size_t>(spec.n_kv_heads));
    v = random.normals(static_cast<std::size_t>(total * v_width()));
  }

  /// One scale for a head: what is largest becomes 32767, or less if the products of two heads
  /// would not fit in 32 bits.
  static std::vector<float> kept_int16(std::vector<float> values, int dim, bool is_key) {
    for (std::size_t head = 0; head < values.size(); head += static_cast<std::size_t>(dim)) {
      double top = 0.0;
      double squares = 0.0;
      for (int i = 0; i < dim; ++i) {
        const double x = values[head + static_cast<std::size_t>(i)];
        top = std::max(top, std::fabs(x));
        squares += x * x;
      }
      const double step = std::max(top / 32767.0, is_key ? std::sqrt(squares) / 46000.0 : 0.0);
      for (int i = 0; i < dim; ++i) {
        float& x = values[head + static_cast<std::size_t>(i)];
        x = static_cast<float>(std::nearbyint(x / step) * step);
      }
    }
    return values;
  }
  /// What the cache keeps of k or v, heads of `dim`.
  std::vector<float> kept(std::vector<float> values, int dim, bool is_key) const {
    if (type == KvType::kF16) {
      for (float& x : values) x = tensor::f16_to_f32(tensor::f32_to_f16(x));
    }
    if (type == KvType::kInt16) return kept_int16(std::move(values), dim, is_key);
    if (type != KvType::kInt8) return values;
    for (std::size_t head = 0; head < values.size(); head += static_cast<std::size_t>(dim)) {
      for (int i = 0; i < dim; i += 32) {
        float* const group = values.data() + head + i;
        const int n = std::min(32, dim - i);
        float top = 0.0F;
        for (int j = 0; j < n; ++j) top = std::max(top, std::fabs(group[j]));
        for (int j = 0; j < n; ++j) {
          group[j] = std::nearbyint(group[j] * (127.0F / top)) * (top / 127.0F);
        }
      }
    }
    return values;
  }
  /// Of int16 queries and weights are rounded as well.
  double tolerance() const { return type == KvType::kInt16 ? 4e-4 : 3e-6; }
  std::int64_t start(std::size_t s) const {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < s; ++i) at += lengths[i];
    return at;
  }
  int q_width() const { return spec.n_heads * spec.head_dim; }
  int k_width() const { return spec.n_kv_heads * spec.head_dim; }
  int v_width() const { return spec.n_kv_heads * spec.value_dim; }
  int out_width() const { return spec.n_heads * spec.value_dim; }
  std::size_t n_out() const {
    return q.size() / static_cast<std::size_t>(spec.head_dim) *
           static_cast<std::size_t>(spec.value_dim);
  }

  KvCacheSpec cache_spec() const {
    return {
        block_size, type, {{0, spec.n_kv_heads, spec.head_dim, spec.value_dim}}, {n_blocks + 1}};
  }

  /// Runs each sequence in chunks of `chunk` tokens, all sequences together in a step.
  std::vector<float> run(Device& device, int chunk) const {
    const auto cache = device.allocate_kv(cache_spec());
    std::vector<float> out(n_out());
    int longest = 0;
    for (const int length : lengths) longest = std::max(longest, length);
    for (int done = 0; done < longest; done += chunk) step(device, *cache, done, chunk, out);
    return out;
  }

  void step(Device& device, KvCache& cache, int done, int chunk, std::vector<float>& out) const {
    step::Step now;
    step::BlockTable& table = now.block_tables.emplace_back();
    table.begin.push_back(0);
    std::vector<std::int64_t> from;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      const int n = std::min(chunk, lengths[s] - done);
      if (n <= 0) continue;
      now.sequences.push_back({static_cast<std::int32_t>(now.token_ids.size()), n, done});
      for (int i = 0; i < n; ++i) {
        now.token_ids.push_back(1);
        now.positions.push_back(done + i);
        from.push_back(start(s) + done + i);
      }
      std::vector<std::int32_t> own = blocks[s];
      if (spec.window > 0 || spec.chunk > 0) {  // what nobody sees any more was freed
        const int first = first_seen(done);
        for (int b = 0; (b + 1) * block_size <= first; ++b) own[static_cast<std::size_t>(b)] = -1;
      }
      table.ids.insert(table.ids.end(), own.begin(), own.end());
      table.begin.push_back(static_cast<std::int32_t>(table.ids.size()));
    }
    const std::int64_t rows = now.n_rows();
    const TestTensor tq(device, rows, q_width()), tk(device, rows, k_width()),
        tv(device, rows, v_width()), result(device, rows, out_width(), std::int64_t{3});
    for (std::int64_t t = 0; t < rows; ++t) {
      const std::int64_t f = from[static_cast<std::size_t>(t)];
      std::copy_n(q.data() + f * q_width(), q_width(), tq.data() + t * q_width());
      std::copy_n(k.data() + f * k_width(), k_width(), tk.data() + t * k_width());
      std::copy_n(v.data() + f * v_width(), v_width(), tv.data() + t * v_width());
    }
    device.begin_step(now);
    device.write_kv(cache, 0, tk, tv);
    AttentionSpec with_bias = spec;
    const auto bias = device.make_position_bias({.slopes = slopes}, nullptr);
    if (!slopes.empty()) with_bias.bias = bias.get();
    const auto sink_scores = upload_vector(device, sinks.empty() ? std::vector<float>(1) : sinks);
    if (!sinks.empty()) with_bias.sinks = sink_scores.get();
    device.attention(with_bias, cache, 0, tq, result);
    device.finish_step();
    for (std::int64_t t = 0; t < rows; ++t) {
      std::copy_n(result.data() + t * result.get().stride, out_width(),
                  out.data() + from[static_cast<std::size_t>(t)] * out_width());
    }
  }

  int first_seen(int t) const {
    const int in_window = spec.window > 0 ? std::max(0, t - spec.window + 1) : 0;
    return spec.chunk > 0 ? std::max(in_window, t / spec.chunk * spec.chunk) : in_window;
  }

  std::vector<float> expected() const {
    Scene rounded = *this;
    rounded.k = kept(k, spec.head_dim, true);
    rounded.v = kept(v, spec.value_dim, false);
    return rounded.expected_of_rounded();
  }

  std::vector<float> expected_of_rounded() const {
    std::vector<float> out(n_out());
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      for (int t = 0; t < lengths[s]; ++t) {
        for (int h = 0; h < spec.n_heads; ++h) expected_head(s, t, h, out);
      }
    }
    return out;
  }

  void expected_head(std::size_t s, int t, int h, std::vector<float>& out) const {
    const int dim = spec.head_dim;
    const int kv_head = h / (spec.n_heads / spec.n_kv_heads);
    const float* query = q.data() + (start(s) + t) * q_width() + h * dim;
    const int first = first_seen(t);
    std::vector<double> scores;
    double top = sinks.empty() ? -std::numeric_limits<double>::infinity()
                               : double{sinks[static_cast<std::size_t>(h)]};
    for (int p = first; p <= t; ++p) {
      const float* key = k.data() + (start(s) + p) * k_width() + kv_head * dim;
      double score = 0.0;
      for (int d = 0; d < dim; ++d) score += double{query[d]} * double{key[d]};
      score *= double{spec.scale};
      if (spec.soft_cap > 0) score = spec.soft_cap * std::tanh(score / spec.soft_cap);
      if (!slopes.empty()) score += double{slopes[static_cast<std::size_t>(h)]} * (p - t);
      scores.push_back(score);
      top = std::max(top, score);
    }
    double sum = sinks.empty() ? 0.0 : std::exp(double{sinks[static_cast<std::size_t>(h)]} - top);
    const int value_dim = spec.value_dim;
    std::vector<double> mean(static_cast<std::size_t>(value_dim), 0.0);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double weight = std::exp(scores[i] - top);
      sum += weight;
      const float* value =
          v.data() + (start(s) + first + static_cast<int>(i)) * v_width() + kv_head * value_dim;
      for (int d = 0; d < value_dim; ++d) {
        mean[static_cast<std::size_t>(d)] += weight * double{value[d]};
      }
    }
    float* to = out.data() + (start(s) + t) * out_width() + h * value_dim;
    for (int d = 0; d < value_dim; ++d) {
      to[d] = static_cast<float>(mean[static_cast<std::size_t>(d)] / sum);
    }
  }
};

std::vector<Scene> scenes() {
  std::vector<Scene> list;
  //                     heads, kv, key dim, value dim, scale, window, cap
  list.emplace_back(AttentionSpec{9, 3, 64, 64, 0.125F}, 32, KvType::kF32,
                    std::vector<int>{70, 1, 33}, 1);
  list.emplace_back(AttentionSpec{4, 4, 12, 12, 0.3F}, 16, KvType::kF32, std::vector<int>{40, 17},
                    2);
  list.emplace_back(AttentionSpec{4, 1, 256, 256, 0.06F, 20}, 8, KvType::kF32,
                    std::vector<int>{90, 30}, 3);
  list.emplace_back(AttentionSpec{6, 2, 40, 40, 1.0F, 0, 5.0F}, 5, KvType::kF16,
                    std::vector<int>{37, 12}, 4);
  list.emplace_back(AttentionSpec{8, 1, 16, 16, 0.25F, 300}, 32, KvType::kF16,
                    std::vector<int>{700}, 5);
  list.emplace_back(AttentionSpec{2, 2, 80, 80, 0.1F}, 64, KvType::kF32, std::vector<int>{600, 3},
                    6);
  list.emplace_back(AttentionSpec{3, 1, 128, 128, 0.1F}, 300, KvType::kF32, std::vector<int>{310},
                    7);
  list.emplace_back(AttentionSpec{7, 1, 1, 1, 1.0F}, 1, KvType::kF32, std::vector<int>{20, 9}, 8);
  // Latent attention: values narrower than keys; and the other way round.
  list.emplace_back(AttentionSpec{5, 1, 40, 24, 0.2F}, 32, KvType::kF32, std::vector<int>{70, 11},
                    9);
  list.emplace_back(AttentionSpec{4, 2, 12, 50, 0.3F}, 16, KvType::kF16, std::vector<int>{300}, 10);
  list.emplace_back(AttentionSpec{9, 3, 64, 64, 0.125F}, 32, KvType::kInt8,
                    std::vector<int>{70, 1, 33}, 13);
  list.emplace_back(AttentionSpec{6, 2, 40, 72, 0.3F, 50}, 24, KvType::kInt8,
                    std::vector<int>{300, 12}, 14);
  list.emplace_back(AttentionSpec{5, 1, 7, 100, 0.4F, 0, 5.0F}, 1, KvType::kInt8,
                    std::vector<int>{40}, 15);
  list.emplace_back(AttentionSpec{4, 4, 33, 17, 0.2F}, 100, KvType::kInt8, std::vector<int>{280},
                    16);
  list.emplace_back(AttentionSpec{9, 3, 64, 64, 0.125F}, 32, KvType::kInt16,
                    std::vector<int>{70, 1, 333}, 19);
  list.emplace_back(AttentionSpec{6, 2, 40, 72, 0.3F, 50}, 24, KvType::kInt16,
                    std::vector<int>{300, 12}, 20);
  list.emplace_back(AttentionSpec{5, 1, 7, 100, 0.4F, 0, 5.0F}, 1, KvType::kInt16,
                    std::vector<int>{40}, 21);
  list.emplace_back(AttentionSpec{4, 4, 33, 17, 0.2F}, 99, KvType::kInt16, std::vector<int>{280},
                    22);
  list.emplace_back(AttentionSpec{4, 2, 128, 128, 0.09F}, 32, KvType::kInt16,
                    std::vector<int>{90, 600}, 23);
  list.back().slopes = {0.5F, 0.25F, -0.125F, 0.0F};
  list.back().sinks = {0.5F, 4.0F, -30.0F, 90.0F};
  // Over several spans, the longer ones too.
  list.emplace_back(AttentionSpec{3, 1, 16, 16, 0.25F}, 32, KvType::kInt16,
                    std::vector<int>{1100, 40}, 24);
  list.emplace_back(AttentionSpec{2, 1, 8, 8, 0.3F, 400}, 24, KvType::kF16, std::vector<int>{1450},
                    25);
  list.emplace_back(AttentionSpec{4, 2, 16, 16, 0.3F}, 32, KvType::kF32, std::vector<int>{90, 300},
                    11);
  list.back().slopes = {0.5F, 0.25F, -0.125F, 0.0F};
  list.emplace_back(AttentionSpec{4, 2, 16, 16, 0.3F}, 32, KvType::kF32, std::vector<int>{90, 600},
                    17);
  list.back().sinks = {0.5F, 4.0F, -30.0F, 90.0F};
  list.emplace_back(AttentionSpec{3, 1, 24, 24, 0.2F}, 8, KvType::kF16, std::vector<int>{90, 13},
                    18);
  list.back().spec.chunk = 21;
  list.back().sinks = {0.0F, 1.0F, -1.0F};
  return list;
}

TEST(CpuKvCache, BlocksTakeUpWhatTheLayoutPads) {
  const auto device = make_device("cpu", {.n_threads = 1});
  const auto reference = make_device("reference", {});
  const auto bytes = [&](int block, KvType type, int key_dim, int value_dim) {
    return device->kv_block_bytes({0, 3, key_dim, value_dim}, type, block);
  };
  EXPECT_EQ(bytes(32, KvType::kF32, 64, 64), 3 * 2 * 32 * 64 * 4);
  EXPECT_EQ(bytes(8, KvType::kF32, 64, 64), 3 * (16 + 8) * 64 * 4);
  EXPECT_EQ(bytes(33, KvType::kF16, 64, 24), 3 * (48 * 64 + 33 * 32) * 2);
  EXPECT_EQ(bytes(16, KvType::kInt8, 64, 32), 3 * 16 * (64 + 2 * 4 + 32 + 4));
  EXPECT_EQ(bytes(1, KvType::kInt8, 32, 32), 3 * (16 + 1) * (32 + 4));
  EXPECT_EQ(bytes(32, KvType::kInt16, 64, 64), 3 * 2 * 32 * (64 * 2 + 4));
  EXPECT_EQ(bytes(5, KvType::kInt16, 7, 17), 3 * (16 * (8 * 2 + 4) + 6 * 32 * 2 + 16 * 4));
  EXPECT_EQ(reference->kv_block_bytes({0, 3, 64, 24}, KvType::kF16, 33), 3 * 33 * (64 + 24) * 2);
}

TEST(CpuAttention, AgreesWithPlainLoops) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = make_cpu_device({2, isa});
    int number = 0;
    for (const Scene& scene : scenes()) {
      const auto want = scene.expected();
      const auto got = scene.run(*device, 64);
      for (std::size_t i = 0; i < want.size(); ++i) {
        ASSERT_NEAR(got[i], want[i], scene.tolerance())
            << isa << " scene " << number << " element " << i;
      }
      ++number;
    }
  }
}

// Chunked prefill, one token at a time, alone or together, one thread or several: the same bits.
TEST(CpuAttention, BitsDependOnTheRowAndTheCacheAlone) {
  for (const std::string& isa : cpu_isas()) {
    const auto one = make_cpu_device({1, isa});
    const auto three = make_cpu_device({3, isa});
    int number = 0;
    for (const Scene& scene : scenes()) {
      const auto want = scene.run(*three, 1000);
      for (const int chunk : {1, 3, 64}) {
        EXPECT_EQ(scene.run(*one, chunk), want) << isa << " scene " << number << " chunk " << chunk;
        EXPECT_EQ(scene.run(*three, chunk), want)
            << isa << " scene " << number << " chunk " << chunk;
      }
      Scene alone = scene;
      alone.lengths.resize(1);
      alone.q.resize(static_cast<std::size_t>(alone.lengths[0] * alone.q_width()));
      const auto first = alone.run(*three, 7);
      EXPECT_EQ(std::memcmp(first.data(), want.data(), first.size() * sizeof(float)), 0)
          << isa << " scene " << number;
      ++number;
    }
  }
}

// Numbers that the type of the cache can hold give the same bits as those that it makes of them.
TEST(CpuAttention, KeysAndValuesAreRoundedToTheNearest) {
  std::vector<std::unique_ptr<Device>> devices;
  for (const std::string& isa : cpu_isas()) devices.push_back(make_cpu_device({2, isa}));
  devices.push_back(make_device("reference", {}));
  for (const auto& device : devices) {
    for (const KvType type : {KvType::kF16, KvType::kInt8, KvType::kInt16}) {
      for (const int dim : {64, 40, 7}) {
        const Scene raw(AttentionSpec{4, 2, dim, dim, 0.2F}, 16, type, {33, 5}, 12);
        Scene rounded = raw;
        rounded.k = raw.kept(raw.k, dim, true);
        rounded.v = raw.kept(raw.v, dim, false);
        ASSERT_NE(raw.k, rounded.k);
        const auto got = raw.run(*device, 8);
        const auto want = rounded.expected();
        for (std::size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR(got[i], want[i], raw.tolerance())
              << device->isa() << " " << dim << " element " << i;
        }
        if (type == KvType::kF16) {
          EXPECT_EQ(got, rounded.run(*device, 8)) << device->isa();
        }
      }
    }
  }
}

// Whatever a head of int8 or int16 holds besides: zeros, or numbers too small for an inverse.
TEST(CpuAttention, GroupsWithoutAScaleAreZero) {
  std::vector<std::unique_ptr<Device>> devices;
  for (const std::string& isa : cpu_isas()) devices.push_back(make_cpu_device({2, isa}));
  devices.push_back(make_device("reference", {}));
  for (const auto& device : devices) {
    for (const int which : {0, 1, 2, 3, 4, 5}) {
      const KvType type = which < 3 ? KvType::kInt8 : KvType::kInt16;
      const float small = std::array{0.0F, 1e-38F, std::numeric_limits<float>::denorm_min()}.at(
          static_cast<std::size_t>(which % 3));
      Scene scene(AttentionSpec{2, 1, 64, 64, 1.0F}, 16, type, {20}, 12);
      for (std::size_t i = 0; i < scene.v.size(); i += 64) {
        std::fill_n(scene.k.begin() + static_cast<std::ptrdiff_t>(i), 64, small);
        std::fill_n(scene.v.begin() + static_cast<std::ptrdiff_t>(i), 32, small);
      }
      const auto got = scene.run(*device, 8);
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(std::isfinite(got[i]));
        if (i % 64 < 32) {
          ASSERT_EQ(got[i], 0.0F) << device->isa();
        }
      }
      EXPECT_NE(got[63], 0.0F);
    }
  }
}

TEST(CpuAttention, CachesOfBadSizesAreRefused) {
  const auto device = make_cpu_device({});
  const auto code_of = [&](const KvCacheSpec& spec) -> std::optional<ErrorCode> {
    try {
      device->allocate_kv(spec);
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  };
  struct Case {
    KvCacheSpec spec;
    std::optional<ErrorCode> code;
  };
  const std::vector<Case> cases = {
      {{1, KvType::kF32, {{0, 1, 1, 1}}, {0}}, std::nullopt},
      {{0, KvType::kF32, {{0, 1, 1, 1}}, {1}}, ErrorCode::kInvalidArgument},
      {{4, KvType::kF32, {{0, 0, 8, 8}}, {1}}, ErrorCode::kUnsupported},
      {{4, KvType::kF32, {{0, 1, 0, 8}}, {1}}, ErrorCode::kUnsupported},
      {{4, KvType::kF32, {{0, 1, 8, 0}}, {1}}, ErrorCode::kUnsupported},
      {{4, KvType::kF32, {{0, 1, 1024, 1024}}, {1}}, std::nullopt},
      {{4, KvType::kF32, {{0, 1, 1025, 8}}, {1}}, ErrorCode::kUnsupported},
      {{4, KvType::kF32, {{0, 1, 8, 1025}}, {1}}, ErrorCode::kUnsupported},
      {{4, KvType::kF32, {{1, 1, 8, 8}}, {1}}, ErrorCode::kInternal},
      {{4, KvType::kF32, {{-2, 1, 8, 8}}, {1}}, ErrorCode::kInternal},
      {{4, KvType::kF32, {{0, 1, 8, 8}}, {-1}}, ErrorCode::kInternal},
      {{4, KvType::kF32, {{KvLayerSpec::kOwnRows, 1, 8, 8}}, {}}, std::nullopt},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(code_of(cases[i].spec), cases[i].code) << i;
  }
}

// A block may hold what a broken request left in it.
TEST(CpuAttention, WhatIsNotVisibleMayBeAnything) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = make_cpu_device({2, isa});
    const Scene scene(AttentionSpec{4, 2, 32, 32, 0.2F}, 16, KvType::kF32, {21}, 1);
    const auto want = scene.run(*device, 8);
    const auto cache = device->allocate_kv(scene.cache_spec());
    Scene broken = scene;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::fill(broken.k.begin(), broken.k.end(), nan);
    std::fill(broken.v.begin(), broken.v.end(), nan);
    std::vector<float> ignored(broken.n_out());
    broken.step(*device, *cache, 0, 21, ignored);
    std::vector<float> got(scene.n_out());
    for (int done = 0; done < 21; done += 8) scene.step(*device, *cache, done, 8, got);
    EXPECT_EQ(got, want) << isa;
  }
}

TEST(CpuAttention, HonoursVisibility) {
  for (const std::string& isa : cpu_isas()) {
    const auto device = make_cpu_device({2, isa});
    AttentionSpec spec{1, 1, 16, 16, 1.0F, 0, 0.0F, Visibility::kWhole};
    const auto cache = device->allocate_kv({32, KvType::kF32, {{0, 1, 16, 16}}, {1}});
    const std::vector<float> zeros(3 * 16, 0.0F);
    std::vector<float> values(3 * 16, 0.0F);
    for (std::size_t t = 0; t < 3; ++t) values[t * 16] = static_cast<float>(t + 1);
    const TestTensor q(*device, 3, 16, zeros), k(*device, 3, 16, zeros), v(*device, 3, 16, values),
        out(*device, 3, 16);
    step::Step step = step_of({0, 1, 2});
    step.block_tables = {{{0}, {0, 1}}};
    device->begin_step(step);
    device->write_kv(*cache, 0, k, v);
    device->attention(spec, *cache, 0, q, out);
    EXPECT_NEAR(out.values()[0], 2.0F, 1e-6F);  // the mean of all three
    EXPECT_NEAR(out.values()[32], 2.0F, 1e-6F);
    spec.visibility = Visibility::kCausal;
    step.visible_end = {1, 1, 2};
    device->attention(spec, *cache, 0, q, out);
    EXPECT_NEAR(out.values()[0], 1.5F, 1e-6F);
    EXPECT_NEAR(out.values()[16], 1.5F, 1e-6F);
    EXPECT_NEAR(out.values()[32], 2.0F, 1e-6F);
    // Cross attention: two source tokens, whatever the rows' positions are.
    spec.visibility = Visibility::kSource;
    step.visible_end.clear();
    step.sequences[0].source_len = 2;
    device->attention(spec, *cache, 0, q, out);
    EXPECT_NEAR(out.values()[0], 1.5F, 1e-6F);
    EXPECT_NEAR(out.values()[32], 1.5F, 1e-6F);
  }
}

}  // namespace
}  // namespace openllm::device
