// The checks that both file formats share, and names of split files, at their bounds.

#include "format/tensor_list.h"

#include <gmock/gmock.h>

#include <array>
#include <cstdint>
#include <limits>

#include "base/error.h"
#include "format/split_name.h"

namespace openllm::format {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

template <typename F>
std::string failure(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    return error.what();
  }
  return "none";
}

TEST(Printable, ReplacesWhatMovesTheCursorAndStaysShort) {
  EXPECT_EQ(printable(std::string_view("a\0b\n\x1F \x7F~", 8)), "a?b?? ?~");
  EXPECT_EQ(printable("\xC2\x9F\xC2\xA0"), "?\xC2\xA0");  // U+009F is a control character
  EXPECT_EQ(printable("\xFF"), "\xEF\xBF\xBD");
  EXPECT_EQ(printable(std::string(100, 'a')), std::string(100, 'a'));
  EXPECT_EQ(printable(std::string(101, 'a')), std::string(100, 'a') + "...");
  EXPECT_EQ(printable(std::string(5000, 'a')), std::string(100, 'a') + "...");
  EXPECT_EQ(printable(std::string(99, 'a') + "\xC3\xA9"), std::string(99, 'a') + "...");
}

TEST(CountElems, KnowsOverflowAndZero) {
  struct Case {
    std::vector<std::uint64_t> dims;
    std::optional<std::uint64_t> n;
  };
  const std::uint64_t most = static_cast<std::uint64_t>(INT64_MAX);
  for (const Case& c :
       {Case{{}, 1}, Case{{7}, 7}, Case{{2, 3, 4}, 24}, Case{{0}, 0}, Case{{5, 0, 7}, 0},
        Case{{most}, most}, Case{{most + 1}, std::nullopt},
        Case{{1ULL << 32U, 1ULL << 30U}, 1ULL << 62U},
        Case{{1ULL << 32U, 1ULL << 31U}, std::nullopt}, Case{{kMax, kMax}, std::nullopt},
        Case{{0, kMax, kMax}, std::nullopt},  // however it is read, it overflows
        Case{{kMax, 0}, std::nullopt}}) {
    EXPECT_EQ(count_elems(c.dims), c.n) << testing::PrintToString(c.dims);
  }
  std::uint64_t product = 0;
  EXPECT_TRUE(multiply(kMax, 1, product));
  EXPECT_EQ(product, kMax);
  EXPECT_FALSE(multiply(kMax / 2 + 1, 2, product));
}

TEST(Overlap, TouchingIsAllowedAndEmptyOnesAreNowhere) {
  const auto check = [](std::vector<Extent> extents) {
    return failure([&] { check_no_overlap("f", 1000, extents); });
  };
  EXPECT_EQ(check({}), "none");
  EXPECT_EQ(check({{4, 8, "b"}, {0, 4, "a"}}), "none");
  EXPECT_EQ(check({{0, 8, "a"}, {4, 4, "empty"}, {8, 9, "b"}}), "none");
  EXPECT_EQ(check({{0, 5, "a"}, {4, 8, "b"}}), "f: tensor b: overlaps tensor a (at byte 1004)");
  EXPECT_THAT(check({{0, 4, "a"}, {0, 4, "b"}}), HasSubstr("overlaps"));
  EXPECT_THAT(check({{0, 9, "a"}, {2, 2, "empty"}, {8, 10, "b"}}),
              HasSubstr("b: overlaps tensor a"));
}

TEST(Contains, IncludesBothEnds) {
  std::array<std::byte, 16> memory{};
  const std::span<const std::byte> whole(memory.data() + 4, 8);
  const auto part = [&](std::size_t begin, std::size_t n) {
    return contains(whole, std::span<const std::byte>(memory.data() + begin, n));
  };
  EXPECT_TRUE(part(4, 8));
  EXPECT_TRUE(part(4, 0));
  EXPECT_TRUE(part(12, 0));
  EXPECT_TRUE(part(11, 1));
  EXPECT_FALSE(part(3, 1));
  EXPECT_FALSE(part(3, 9));
  EXPECT_FALSE(part(12, 1));
  EXPECT_FALSE(part(4, 9));
}

TEST(TensorNames, AreSortedAndUniqueOverBothLists) {
  const auto list = [](const std::vector<std::string>& readable,
                       const std::vector<std::string>& unreadable) {
    TensorList out;
    for (const std::string& name : readable) out.readable.push_back({name, {}});
    for (const std::string& name : unreadable) out.unreadable.push_back({name, "why"});
    return out;
  };
  TensorList good = list({"c", "a", "b"}, {"e", "d"});
  good.sort_and_check("f");
  EXPECT_EQ(good.readable[0].name, "a");
  EXPECT_EQ(good.readable[2].name, "c");
  EXPECT_EQ(good.unreadable[0].name, "d");
  for (TensorList bad : {list({"a", "b", "a"}, {}), list({}, {"a", "a"}), list({"b", "a"}, {"a"}),
                         list({"b", "a"}, {"b"})}) {
    EXPECT_THAT(failure([&] { bad.sort_and_check("f"); }), HasSubstr("occurs twice"));
  }
}

TEST(SplitNames, HaveFiveDigitsEach) {
  const auto name = parse_split_name("dir/m-00002-of-00010.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->prefix, "dir/m");
  EXPECT_EQ(name->index, 2);
  EXPECT_EQ(name->count, 10);
  EXPECT_EQ(name->at(3), "dir/m-00003-of-00010.gguf");
  EXPECT_EQ(parse_split_name("m-99999-of-99999.gguf")->count, 99999);
  for (const char* other :
       {"-00001-of-00002.gguf", "m-0001-of-00002.gguf", "m-00001-of-0002.gguf",
        "m-0000a-of-00002.gguf", "m-00001-of-0000b.gguf", "m_00001-of-00002.gguf",
        "m-00001-if-00002.gguf", "m-00001-of-00002.ggml", "m.gguf", "", "m-00001-of-00002.gguf "}) {
    EXPECT_FALSE(parse_split_name(other)) << other;
  }
}

}  // namespace
}  // namespace openllm::format
