#include "tokenizer/vocab/word_cache.h"

#include <gmock/gmock.h>

#include <map>

#include "tokenizer/random_text.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;

TEST(WordCache, KeepsWhatWasPut) {
  WordCache cache(100);
  const std::string words[] = {"a", std::string("a\0", 2), "sixteen bytes ..", "seventeen bytes ..",
                               std::string(WordCache::kMaxWordBytes, 'x')};
  for (const std::string& word : words) {
    std::vector<TokenId> ids = {7};
    const auto place = cache.find_place(word);
    EXPECT_FALSE(cache.append(place, word, ids));
    cache.put(place, word, std::vector<TokenId>{1, 2, 3});
    EXPECT_TRUE(cache.holds(place, word));
    EXPECT_TRUE(cache.append(place, word, ids));
    EXPECT_THAT(ids, ElementsAre(7, 1, 2, 3));
  }
}

TEST(WordCache, LeavesOutWhatIsTooLong) {
  WordCache cache(100);
  const std::string word(WordCache::kMaxWordBytes + 1, 'x');
  cache.put(cache.find_place(word), word, std::vector<TokenId>{1});
  EXPECT_FALSE(cache.holds(cache.find_place(word), word));
  cache.put(cache.find_place("a"), "a", std::vector<TokenId>{1, 2, 3, 4});
  EXPECT_FALSE(cache.holds(cache.find_place("a"), "a"));
}

/// Words push each other out, and longer ones start anew when they fill their block.
TEST(WordCache, NeverGivesTheTokensOfAnotherWord) {
  RandomText random(23);
  WordCache cache(4000);
  std::map<std::string, std::vector<TokenId>> all;
  std::size_t n_found = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string word(1 + random.below(140), 'a');
    for (std::size_t k = 0; k < 2; ++k)
      word[random.below(word.size())] = static_cast<char>(random.below(8));
    std::vector<TokenId> ids;
    const auto place = cache.find_place(word);
    if (cache.append(place, word, ids)) {
      ASSERT_EQ(ids, all.at(word));
      ++n_found;
      continue;
    }
    for (std::size_t n = random.below(6); n > 0; --n) ids.push_back(static_cast<TokenId>(i));
    all[word] = ids;
    cache.put(place, word, ids);
  }
  EXPECT_GT(n_found, 100);
}

}  // namespace
}  // namespace openllm::tokenizer
