#include "device/cpu/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace openllm::device::cpu {
namespace {

constexpr std::size_t kMega = std::size_t{1} << 20U;

bool is_zero(const AlignedMemory& memory) {
  return std::all_of(memory.data(), memory.data() + memory.size(),
                     [](unsigned char byte) { return byte == 0; });
}

TEST(Arena, GivesZeroedPiecesSideBySide) {
  Arena arena(4 * kMega);
  std::vector<AlignedMemory> pieces;
  for (const std::size_t n : {std::size_t{1}, std::size_t{64}, std::size_t{100}, kMega}) {
    pieces.push_back(arena.take(n));
    const AlignedMemory& piece = pieces.back();
    ASSERT_EQ(piece.size(), n);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.data()) % 64, 0U);
    EXPECT_TRUE(is_zero(piece));
    std::fill_n(pieces.back().data(), n, static_cast<unsigned char>(pieces.size()));
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].data()[0], i + 1);
    EXPECT_EQ(pieces[i].data()[pieces[i].size() - 1], i + 1) << "no piece is another's";
  }
  EXPECT_EQ(pieces[1].data() - pieces[0].data(), 64);
  EXPECT_EQ(arena.take(0).data(), nullptr);
}

TEST(Arena, TakesWhatIsLargerThanTheWhole) {
  Arena arena(kMega);
  const AlignedMemory large = arena.take(7 * kMega);
  ASSERT_EQ(large.size(), 7 * kMega);
  EXPECT_TRUE(is_zero(large));
}

// Whoever has a piece has it when the arena and all others are gone.
TEST(Arena, PiecesOutliveIt) {
  AlignedMemory kept;
  {
    Arena arena(4 * kMega);
    AlignedMemory gone = arena.take(kMega);
    kept = arena.take(1000);
    gone = AlignedMemory();
    std::fill_n(kept.data(), kept.size(), static_cast<unsigned char>(7));
  }
  AlignedMemory moved = std::move(kept);
  EXPECT_EQ(moved.data()[999], 7);
  moved.reserve(2000);
  EXPECT_EQ(moved.size(), 2000U);
  EXPECT_TRUE(is_zero(moved)) << "memory of its own";
}

}  // namespace
}  // namespace openllm::device::cpu
