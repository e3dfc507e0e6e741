// Merges as files have them, and the table that holds them.

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "tokenizer/bpe/score_merges.h"
#include "tokenizer/bpe/spelled_merges.h"
#include "tokenizer/random_text.h"

namespace openllm::tokenizer {
namespace {

using ::testing::SizeIs;
using PairMap = std::map<std::pair<TokenId, TokenId>, std::pair<std::uint32_t, TokenId>>;

PairMap to_map(const std::vector<MergeTable::Entry>& entries) {
  PairMap map;
  for (const MergeTable::Entry& entry : entries)
    map[{entry.left, entry.right}] = {entry.merge.rank, entry.merge.result};
  return map;
}

TEST(MergeTable, FindsWhatIsInIt) {
  std::vector<MergeTable::Entry> entries;
  RandomText random(3);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    entries.push_back({static_cast<TokenId>(random.below(300)),
                       static_cast<TokenId>(random.below(300)),
                       {i, static_cast<TokenId>(i)}});
  }
  const MergeTable table(entries);
  const PairMap expected = to_map(entries);  // of equal pairs the last one
  for (TokenId left = 0; left < 300; ++left) {
    for (TokenId right = 0; right < 300; ++right) {
      const auto found = expected.find({left, right});
      const MergeTable::Merge merge = table.find(left, right);
      if (found == expected.end()) {
        ASSERT_EQ(merge.rank, MergeTable::kNoRank);
      } else {
        ASSERT_EQ(std::pair(merge.rank, merge.result), found->second);
      }
    }
  }
  EXPECT_EQ(MergeTable().find(1, 2).rank, MergeTable::kNoRank);
}

/// make_score_merges, slowly: every cut of every token.
std::vector<MergeTable::Entry> score_merges_by_definition(const Vocab& vocab,
                                                          std::span<const float> scores,
                                                          std::span<const unsigned char> roles) {
  const auto role_of = [&](TokenId id) { return roles[static_cast<std::size_t>(id)]; };
  std::vector<MergeTable::Entry> entries;
  for (TokenId id = 0; id < vocab.size(); ++id) {
    const std::string_view text = vocab.piece(id);
    if ((role_of(id) & kMergeResult) == 0 || text.size() > 1024) continue;
    std::vector<float> higher;
    for (TokenId other = 0; other < vocab.size(); ++other) {
      const float score = scores[static_cast<std::size_t>(other)];
      if ((role_of(other) & kMergeResult) != 0 && score > scores[static_cast<std::size_t>(id)])
        higher.push_back(score);
    }
    std::sort(higher.begin(), higher.end());
    const auto rank = std::unique(higher.begin(), higher.end()) - higher.begin();
    for (std::size_t at = 0; at < text.size();) {
      base::decode_utf8(text, at);
      const auto left = vocab.find(text.substr(0, at));
      const auto right = vocab.find(text.substr(at));
      if (!left || !right || (role_of(*left) & role_of(*right) & kMergePart) == 0) continue;
      entries.push_back({*left, *right, {static_cast<std::uint32_t>(rank), id}});
    }
  }
  return entries;
}

TEST(ScoreMerges, AreThoseOfTheDefinition) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    RandomText random(seed);
    const char32_t alphabet[] = {U'a', U'b', U'\u2581', U'\u00E9', U'\U0001F468', U'\0'};
    const std::size_t n_letters = 1 + random.below(6);
    Vocab vocab;
    std::vector<float> scores;
    std::vector<unsigned char> roles;
    for (TokenId id = 0; id < 250; ++id) {
      std::string piece;
      for (std::size_t n = 1 + random.below(random.below(10) == 0 ? 24 : 5); n > 0; --n)
        base::append_utf8(piece, alphabet[random.below(n_letters)]);
      vocab.set(id, piece);
      scores.push_back(static_cast<float>(random.below(200)));
    }
    for (TokenId id = 0; id < 250; ++id) {
      const auto role = static_cast<unsigned char>(
          random.below(4) == 0 ? random.below(4) : kMergePart | kMergeResult);
      roles.push_back(vocab.is_found(id) ? role : 0);
    }
    const auto entries = make_score_merges(vocab, scores, roles);
    const PairMap expected = to_map(score_merges_by_definition(vocab, scores, roles));
    EXPECT_EQ(to_map(entries), expected) << seed;
    EXPECT_THAT(entries, SizeIs(expected.size())) << "every pair once";
  }
}

TEST(ScoreMerges, LongTokensTakeNoPart) {
  Vocab vocab;
  vocab.set(0, "a");
  vocab.set(1, std::string(1023, 'a'));
  vocab.set(2, std::string(1024, 'a'));
  vocab.set(3, std::string(1025, 'a'));
  const std::vector<float> scores(4, 0.0F);
  const std::vector<unsigned char> roles(4, kMergePart | kMergeResult);
  EXPECT_EQ(to_map(make_score_merges(vocab, scores, roles)),
            (PairMap{{{0, 1}, {0, 2}}, {{1, 0}, {0, 2}}}));
}

TEST(SpelledMerges, KeepTheirRanks) {
  Vocab vocab;
  const char* pieces[] = {"a", "b", "ab", "##b", "aba", "ba"};
  for (TokenId id = 0; id < 6; ++id) vocab.set(id, pieces[id]);
  std::vector<SpelledMerge> merges(200, {"b", "a"});
  merges[70] = {"a", "b"};
  merges[199] = {"ab", "a"};
  const auto merge_at = [&](std::size_t i) { return merges[i]; };
  EXPECT_EQ(to_map(read_spelled_merges(vocab, merges.size(), merge_at, "", "merge ")),
            (PairMap{{{1, 0}, {198, 5}}, {{0, 1}, {70, 2}}, {{2, 0}, {199, 4}}}));
  merges = {{"a", "##b"}};
  EXPECT_EQ(to_map(read_spelled_merges(vocab, 1, merge_at, "##", "merge ")),
            (PairMap{{{0, 3}, {0, 2}}}));
}

TEST(SpelledMerges, OfTokensThatAreMissingAreErrors) {
  Vocab vocab;
  const char* pieces[] = {"a", "b", "ab"};
  for (TokenId id = 0; id < 3; ++id) vocab.set(id, pieces[id]);
  const std::pair<SpelledMerge, std::string> cases[] = {
      {{"x", "b"}, "\"x\""}, {{"a", "y"}, "\"y\""}, {{"b", "a"}, "\"ba\""}};
  for (const auto& [wrong, named] : cases) {
    for (const std::size_t place : {0U, 63U, 64U, 100U}) {
      std::vector<SpelledMerge> merges(101, {"a", "b"});
      merges[place] = wrong;
      const auto merge_at = [&](std::size_t i) { return merges[i]; };
      try {
        read_spelled_merges(vocab, merges.size(), merge_at, "", "merge ");
        ADD_FAILURE() << named;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
        const std::string expected = "merge " + std::to_string(place) + ": no token " + named;
        EXPECT_TRUE(std::string(error.what()).starts_with(expected)) << error.what();
      }
    }
  }
}

TEST(ShortBytes, EqualAndHashedByContent) {
  RandomText random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string a, b;
    for (std::size_t n = random.below(40); n > 0; --n)
      a += static_cast<char>('a' + random.below(2));
    b = a;
    EXPECT_EQ(hash_bytes(a), hash_bytes(b));
    if (a.empty()) continue;
    b[random.below(b.size())] = static_cast<char>('a' + random.below(3));
    EXPECT_EQ(equal_bytes(a.data(), b.data(), a.size()), a == b) << a << " " << b;
    EXPECT_EQ(hash_bytes(a) == hash_bytes(b), a == b) << a << " " << b;
  }
}

}  // namespace
}  // namespace openllm::tokenizer
