#include "backend/kv_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace openllm::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const kv::KvGroupSpec kFull{kv::KvKind::kFull, 0, {0}, 100 * 16};
const kv::KvGroupSpec kWindow{kv::KvKind::kWindow, 40, {1}, 10 * 16};

LoadOptions options_of(std::int64_t kv_cache_bytes) {
  LoadOptions options;
  options.kv_cache_bytes = kv_cache_bytes;
  options.kv_block_size = 16;
  options.max_step_tokens = 64;
  options.max_sequences = 2;
  return options;
}

TEST(KvBudget, GivenBytesAreUsedAndNotExceeded) {
  const KvBudget budget = plan_kv_budget({kFull}, options_of(100 * 16 * 5 + 1599), 4096, 0);
  EXPECT_THAT(budget.blocks_per_group, ElementsAre(5));
  EXPECT_EQ(budget.max_model_len, 80);
  EXPECT_EQ(plan_kv_budget({kFull}, options_of(100 * 16 * 5), 50, 0).max_model_len, 50);
}

TEST(KvBudget, WindowsNeedNoMoreThanAWindowAndAChunkPerSequence) {
  const KvBudget budget = plan_kv_budget({kFull, kWindow}, options_of(1 << 20), 4096, 0);
  EXPECT_EQ(budget.blocks_per_group[1], 2 * (48 + 64 + 16) / 16);
  const std::int64_t bytes =
      std::int64_t{16} * (100 * budget.blocks_per_group[0] + 10 * budget.blocks_per_group[1]);
  EXPECT_LE(bytes, 1 << 20);
  EXPECT_GT(bytes + 16 * 100, 1 << 20);
  // As long as it is less than that, a window group holds what the full one does.
  EXPECT_THAT(plan_kv_budget({kFull, kWindow}, options_of(110 * 16 * 3), 4096, 0).blocks_per_group,
              ElementsAre(3, 3));
}

TEST(KvBudget, ChosenBytesAreAThirdOfTheMemoryOrWhatIsOfUse) {
  EXPECT_THAT(plan_kv_budget({kFull}, options_of(0), 4096, 3 * 16 * 100 * 7).blocks_per_group,
              ElementsAre(7));
  EXPECT_THAT(plan_kv_budget({kFull}, options_of(0), 4096, std::int64_t{1} << 50).blocks_per_group,
              ElementsAre(4096 / 16));
}

TEST(KvBudget, TwoThousandTokensForEachSequenceAreOfUse) {
  LoadOptions options = options_of(0);
  options.max_sequences = 3;
  const std::int64_t plenty = std::int64_t{1} << 50;
  EXPECT_THAT(plan_kv_budget({kFull}, options, 4096, plenty).blocks_per_group,
              ElementsAre(3 * 2048 / 16));
  EXPECT_THAT(plan_kv_budget({kFull}, options, 3 * 2048 + 1, plenty).blocks_per_group,
              ElementsAre(3 * 2048 / 16 + 1));
}

TEST(KvBudget, StatesAreCountedBySequencesAndLimitNoLength) {
  kv::KvGroupSpec states;
  states.kind = kv::KvKind::kState;
  states.snapshot_blocks = 4;
  states.bytes_per_block = 5000;
  const std::int64_t plenty = std::int64_t{1} << 50;
  const KvBudget budget = plan_kv_budget({states}, options_of(0), 1 << 20, plenty);
  EXPECT_THAT(budget.blocks_per_group, ElementsAre(2 + 4 * 2));
  const KvBudget least = plan_kv_budget({states}, options_of(2 * 5000), 1 << 20, 0);
  EXPECT_THAT(least.blocks_per_group, ElementsAre(2));
  EXPECT_EQ(least.max_model_len, 1 << 20);
  // Beside keys and values they take their part of the memory.
  const KvBudget both =
      plan_kv_budget({kFull, states}, options_of(100 * 16 * 8 + 5000 * 4), 4096, 0);
  EXPECT_THAT(both.blocks_per_group, ElementsAre(8, 4));
  EXPECT_EQ(both.max_model_len, 8 * 16);
}

TEST(KvBudget, LessThanABlockIsRefused) {
  for (const std::int64_t given : {std::int64_t{0}, std::int64_t{1599}}) {
    try {
      plan_kv_budget({kFull}, options_of(given), 4096, 3 * 1599);
      ADD_FAILURE() << given;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
      EXPECT_THAT(error.what(), HasSubstr("expected at least 1600 for one block of 16 tokens"));
    }
  }
}

// A hostile file: heads without number, and positions without end.
TEST(KvBudget, HugeSizesDoNotOverflow) {
  const kv::KvGroupSpec huge{kv::KvKind::kFull, 0, {0}, std::int64_t{16} << 45U};
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() - 1;
  const KvBudget budget = plan_kv_budget({huge, huge, huge}, options_of(most), 1 << 30, most);
  EXPECT_THAT(budget.blocks_per_group, testing::Each((1 << 18) / 3 / 16));
  EXPECT_THROW(plan_kv_budget({huge}, options_of(0), 1 << 30, std::int64_t{1} << 40), Error);
}

TEST(KvDtype, AutoRoundsOnlyBesideQuantisedWeightsAndNeverOnTheReferenceDevice) {
  using device::KvType;
  EXPECT_EQ(choose_kv_type("auto", "cpu", true), KvType::kInt16);
  EXPECT_EQ(choose_kv_type("auto", "cpu", false), KvType::kF32);
  EXPECT_EQ(choose_kv_type("auto", "reference", true), KvType::kF32);
  for (const bool quantised : {false, true}) {
    for (const char* device : {"cpu", "reference"}) {
      EXPECT_EQ(choose_kv_type("f16", device, quantised), KvType::kF16);
      EXPECT_EQ(choose_kv_type("f32", device, quantised), KvType::kF32);
      EXPECT_EQ(choose_kv_type("int8", device, quantised), KvType::kInt8);
      EXPECT_EQ(choose_kv_type("int16", device, quantised), KvType::kInt16);
    }
  }
  for (const char* unknown : {"bf16", "", "F16", "int8 "}) {
    try {
      choose_kv_type(unknown, "cpu", true);
      ADD_FAILURE() << unknown;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), HasSubstr("kv_dtype: unknown"));
    }
  }
}

}  // namespace
}  // namespace openllm::backend
