// Selections by their definition: everything sorted, ties by id, bounds exact.

#include "sampling/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "sampling/vector_ops.h"

namespace openllm::sampling {
namespace {

using testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();
using Ids = std::vector<std::int32_t>;

Ids ids_of(const Selector& selector) { return {selector.ids().begin(), selector.ids().end()}; }

/// All ids, falling by value, equal ones by id.
Ids sorted_ids(std::span<const float> x) {
  Ids ids(x.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](std::int32_t a, std::int32_t b) {
    return x[static_cast<std::size_t>(a)] > x[static_cast<std::size_t>(b)];
  });
  return ids;
}

/// Weights k / 1024 with k from 1 to `most`: sums of them have no rounding.
std::vector<float> dyadic_weights(std::size_t n, int most, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> pick(1, most);
  std::vector<float> p(n);
  for (float& v : p) v = static_cast<float>(pick(random)) / 1024.0F;
  p[n / 2] = static_cast<float>(most) / 1024.0F;
  return p;
}

Ids top_p(const std::vector<float>& p, double part) {
  Selector selector;
  selector.start(p, p, std::accumulate(p.begin(), p.end(), 0.0));
  selector.keep_top_p(part);
  return ids_of(selector);
}

TEST(SelectTopP, MassThatIsReachedExactlyIsEnough) {
  const std::vector<float> p = {0.125F, 0.5F, 0.125F, 0.25F};
  struct Case {
    double part;
    Ids kept;
  };
  for (const Case& c : {Case{0.25, {1}}, Case{0.5, {1}}, Case{0.51, {1, 3}}, Case{0.75, {1, 3}},
                        Case{0.76, {0, 1, 3}}, Case{0.875, {0, 1, 3}}, Case{0.876, {0, 1, 2, 3}},
                        Case{1.0, {0, 1, 2, 3}}, Case{1e-9, {1}}}) {
    EXPECT_EQ(top_p(p, c.part), c.kept) << c.part;
  }
}

/// Every prefix of the sorted weights, at its exact mass and a little above and below it. The first
/// number of weights have few values, so that they share leading digits or are equal.
TEST(SelectTopP, EveryMassKeepsTheShortestPrefix) {
  for (const auto& [n, most] : {std::pair{5, 3}, {40, 1000}, {70, 4}, {300, 1024}, {200, 1}}) {
    const auto p = dyadic_weights(static_cast<std::size_t>(n), most, static_cast<unsigned>(n));
    const Ids order = sorted_ids(p);
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    double mass = 0.0;
    for (std::size_t kept = 1; kept <= order.size(); ++kept) {
      const double last = p[static_cast<std::size_t>(order[kept - 1])];
      mass += last;
      Ids want(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept));
      std::sort(want.begin(), want.end());
      for (const double limit : {mass - last + 1.0 / 4096, mass - 1.0 / 4096, mass}) {
        // The product with the total gives the limit again unless the division rounded up.
        if (limit / total * total > mass) continue;
        ASSERT_EQ(top_p(p, limit / total), want) << n << " values, limit " << limit;
      }
    }
  }
}

TEST(SelectTopP, DigitsOfEveryPlaceCount) {
  // Neighbours that differ in the last bit, in the tenth and in the twentieth from the right.
  const float one = 0.25F;
  const auto up = [&](int bits) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(one) + (1U << bits));
  };
  for (const int bits : {0, 9, 10, 11, 19, 20, 21}) {
    const std::vector<float> p = {one, up(bits), one, up(bits)};
    EXPECT_EQ(top_p(p, 0.4), (Ids{1, 3})) << bits;
    EXPECT_EQ(top_p(p, 0.1), Ids{1}) << bits;
    EXPECT_EQ(top_p(p, 0.7), (Ids{0, 1, 3})) << bits;
  }
}

// The total is a sum in another order, so rounding may leave it a little above what the weights
// reach.
TEST(SelectTopP, MassOutOfReachKeepsAll) {
  const std::vector<float> p = {0.25F, 0.5F, 0.25F};
  for (const double total : {1.0, 1.0000001, 1.001}) {
    Selector selector;
    selector.start(p, p, total);
    selector.keep_top_p(1.0);
    EXPECT_EQ(ids_of(selector), (Ids{0, 1, 2})) << total;
  }
}

Ids top_k(const std::vector<float>& x, int k) {
  Selector selector;
  selector.start(x, x, 0.0);
  selector.keep_top_k(k);
  if (!selector.has_all()) return ids_of(selector);
  Ids all(x.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(SelectTopK, KeepsTheKthAndAllThatEqualIt) {
  const std::vector<float> x = {1.0F, 3.0F, 2.0F, 3.0F, 1.0F, -kInf};
  EXPECT_EQ(top_k(x, 1), (Ids{1, 3}));
  EXPECT_EQ(top_k(x, 2), (Ids{1, 3}));
  EXPECT_EQ(top_k(x, 3), (Ids{1, 2, 3}));
  EXPECT_EQ(top_k(x, 4), (Ids{0, 1, 2, 3, 4}));
  EXPECT_EQ(top_k(x, 5), (Ids{0, 1, 2, 3, 4}));
  EXPECT_EQ(top_k(x, 6), (Ids{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(top_k(x, 7), (Ids{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(top_k({-kInf, 1.0F, -kInf}, 2), Ids{1});  // what is forbidden does not fill up
}

/// 512 and 513 lie on both sides of the change from a heap to a partition.
TEST(SelectTopK, AgreesWithSorting) {
  for (const std::size_t n : {64U, 65U, 700U, 3000U}) {
    for (const int most : {5, 1024}) {
      const auto x = dyadic_weights(n, most, static_cast<unsigned>(n));
      const Ids order = sorted_ids(x);
      for (const int k : {1, 2, 63, 64, 511, 512, 513, 514, 699, 2999}) {
        const auto count = static_cast<std::size_t>(k);
        Ids want;
        const float kth = count < n ? x[static_cast<std::size_t>(order[count - 1])] : std::nanf("");
        for (std::size_t i = 0; i < n; ++i) {
          if (count >= n || x[i] >= kth) want.push_back(static_cast<std::int32_t>(i));
        }
        ASSERT_EQ(top_k(x, k), want) << n << " " << most << " " << k;
        // The same after another selection.
        Selector selector;
        selector.start(x, x, 0.0);
        selector.keep_min_p(1.0F / 1024.0F);
        selector.keep_top_k(k);
        ASSERT_EQ(ids_of(selector), want) << n << " " << most << " " << k;
      }
    }
  }
}

TEST(SelectMinP, KeepsWhatEqualsTheBound) {
  const std::vector<float> p = {1.0F, 0.5F, 0.25F, 1.0F, 0.0F};
  const auto keep = [&](float least) {
    Selector selector;
    selector.start(p, p, 0.0);
    selector.keep_min_p(least);
    return ids_of(selector);
  };
  EXPECT_EQ(keep(1.0F), (Ids{0, 3}));
  EXPECT_EQ(keep(0.5F), (Ids{0, 1, 3}));
  EXPECT_EQ(keep(std::nextafter(0.5F, 1.0F)), (Ids{0, 3}));
  EXPECT_EQ(keep(0.25F), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(keep(1e-9F), (Ids{0, 1, 2, 3}));
}

TEST(SelectLargest, FallingAndTiesByLowerId) {
  Selector selector;
  const auto largest = [&](const std::vector<float>& x, std::size_t n) {
    const auto ids = selector.largest(x, n);
    return Ids(ids.begin(), ids.end());
  };
  EXPECT_THAT(largest({1.0F, 1.0F, 1.0F, 1.0F}, 2), ElementsAre(0, 1));
  EXPECT_THAT(largest({1.0F, 2.0F, 1.0F, 2.0F, 1.0F}, 3), ElementsAre(1, 3, 0));
  EXPECT_THAT(largest({-kInf, 0.0F, -kInf}, 2), ElementsAre(1, 0));
  EXPECT_TRUE(largest({1.0F}, 0).empty());
  EXPECT_THAT(largest({1.0F, 2.0F}, 9), ElementsAre(1, 0));
  for (const std::size_t n : {64U, 200U, 700U, 2000U}) {
    for (const int most : {1, 3, 1024}) {
      const auto x = dyadic_weights(n, most, static_cast<unsigned>(n) + 1);
      const Ids order = sorted_ids(x);
      for (const std::size_t count : {1U, 2U, 20U, 64U, 511U, 512U, 513U, 2000U}) {
        const Ids want(order.begin(),
                       order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size())));
        ASSERT_EQ(largest(x, count), want) << n << " " << most << " " << count;
      }
    }
  }
}

TEST(VectorOps, FindAndNextBlockAtTheEdges) {
  for (const std::size_t n : {1U, 15U, 16U, 63U, 64U, 65U, 128U, 200U}) {
    std::vector<float> x(n, -1.0F);
    EXPECT_EQ(find(x, 2.0F), n);
    const std::size_t n_blocks = (n + kBlock - 1) / kBlock;
    EXPECT_EQ(next_block(x, 0, 2.0F), n_blocks);
    EXPECT_EQ(next_block(x, n_blocks, -1.0F), n_blocks);
    for (const std::size_t i : {std::size_t{0}, n / 2, n - 1}) {
      x.assign(n, -1.0F);
      x[i] = 2.0F;
      EXPECT_EQ(find(x, 2.0F), i) << n;
      EXPECT_EQ(next_block(x, 0, 2.0F), i / kBlock) << n;  // equal is enough
      EXPECT_EQ(next_block(x, 0, 2.5F), n_blocks) << n;
      EXPECT_EQ(next_block(x, i / kBlock + 1, 2.0F), n_blocks) << n;
      EXPECT_EQ(scan(x).max, 2.0F) << n;
      EXPECT_FALSE(scan(x).has_nan);
      x[n - 1 - i] = std::nanf("");
      EXPECT_TRUE(scan(x).has_nan) << n;
      if (n - 1 - i != i) {
        EXPECT_EQ(scan(x).max, 2.0F) << n;
      }
    }
  }
}

}  // namespace
}  // namespace openllm::sampling
