// Byte pair encoding against its definition: the whole word at once, pair after pair.

#include "tokenizer/bpe/bpe.h"

#include <gmock/gmock.h>

#include <set>

#include "base/error.h"
#include "tokenizer/random_text.h"
#include "tokenizer/unicode/byte_level.h"

namespace openllm::tokenizer {
namespace {

/// A random vocabulary, its merges and words in its alphabet.
struct Random {
  explicit Random(std::uint64_t seed, bool byte_level, bool byte_fallback)
      : random(seed), is_byte_level(byte_level) {
    if (byte_fallback) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        constexpr std::string_view kDigits = "0123456789ABCDEF";
        add(base::cat("<0x", kDigits[byte / 16], kDigits[byte % 16], ">"));
      }
    }
    const std::size_t n_letters = 2 + random.below(8);
    for (std::size_t i = 0; i < n_letters; ++i) letters.push_back(letter());
    letters.push_back("\xE2\x96\x81");
    std::vector<std::string> symbols;
    for (const std::string& each : letters) {
      const std::string spelled = byte_level ? map_bytes(each) : each;
      for (std::size_t at = 0; at < spelled.size();) {
        const std::size_t begin = at;
        base::decode_utf8(spelled, at);
        symbols.push_back(spelled.substr(begin, at - begin));
        add(symbols.back());
      }
    }
    for (std::uint32_t rank = 0; rank < 60; ++rank) {
      const std::string left = symbols[random.below(symbols.size())];
      const std::string right = symbols[random.below(symbols.size())];
      if (left.size() + right.size() > 30) continue;
      symbols.push_back(left + right);
      add(symbols.back());
      const MergeTable::Entry entry{
          *vocab.find(left), *vocab.find(right), {rank, *vocab.find(symbols.back())}};
      if (pairs.insert({entry.left, entry.right}).second) merges.push_back(entry);
    }
  }

  std::string letter() {
    std::string text;
    base::append_utf8(text, random.below(2) == 0 ? U'a' + static_cast<char32_t>(random.below(6))
                                                 : random.code_point());
    return text;
  }
  void add(const std::string& piece) {
    if (!vocab.find(piece)) vocab.set(vocab.size(), piece);
  }
  std::string word(std::size_t max_letters) {
    std::string text;
    for (std::size_t n = 1 + random.below(max_letters); n > 0; --n)
      text += random.below(20) == 0 && !is_byte_level ? letter()
                                                      : letters[random.below(letters.size())];
    return text;
  }

  RandomText random;
  bool is_byte_level;
  Vocab vocab;
  std::vector<std::string> letters;
  std::set<std::pair<TokenId, TokenId>> pairs;
  std::vector<MergeTable::Entry> merges;
};

/// Tokens of single characters.
std::vector<TokenId> by_letters(const Random& r, const BpeOptions& options, std::string_view word) {
  const std::string spelled = options.byte_level ? map_bytes(word) : std::string(word);
  std::vector<TokenId> ids;
  bool behind_unknown = false;
  for (std::size_t at = 0; at < spelled.size();) {
    const std::size_t begin = at;
    base::decode_utf8(spelled, at);
    const std::string_view one = std::string_view(spelled).substr(begin, at - begin);
    const auto id = r.vocab.find(one);
    if (id) {
      ids.push_back(*id);
    } else if (options.byte_fallback) {
      for (const char c : one) ids.push_back(static_cast<unsigned char>(c));
    } else if (options.unk_id && !(behind_unknown && options.fuse_unk)) {
      ids.push_back(*options.unk_id);
    }
    behind_unknown = !id;
  }
  return ids;
}

std::vector<TokenId> by_definition(const Random& r, const BpeOptions& options,
                                   std::string_view word) {
  const std::string spelled = options.byte_level ? map_bytes(word) : std::string(word);
  if (options.ignore_merges) {
    if (const auto id = r.vocab.find(spelled)) return {*id};
  }
  std::vector<TokenId> ids = by_letters(r, options, word);
  while (true) {
    const MergeTable::Entry* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const MergeTable::Entry& merge : r.merges) {
        if (merge.left != ids[i] || merge.right != ids[i + 1]) continue;
        if (best != nullptr && best->merge.rank <= merge.merge.rank) continue;
        best = &merge;
        place = i;
      }
    }
    if (best == nullptr) return ids;
    ids[place] = best->merge.result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

void expect_equal(bool byte_level, const BpeOptions& options) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Random r(seed, byte_level, options.byte_fallback);
    BpeOptions here = options;
    here.byte_level = byte_level;
    const Bpe bpe(r.vocab, here, r.merges);
    std::vector<std::string> words;
    for (int i = 0; i < 40; ++i) words.push_back(r.word(i % 8 == 0 ? 90 : 12));
    std::vector<TokenId> all, expected;
    const auto session = bpe.start(1000);
    for (int round = 0; round < 2; ++round) {  // the second time words are remembered
      for (const std::string& word : words) {
        const auto ids = by_definition(r, here, word);
        expected.insert(expected.end(), ids.begin(), ids.end());
        session->tokenize(word, all);
      }
    }
    session->finish(all);
    ASSERT_EQ(all, expected) << seed;
  }
}

TEST(Bpe, BytesAreMergedByRank) { expect_equal(true, {}); }
TEST(Bpe, WholeWordsOfBytes) { expect_equal(true, {.ignore_merges = true}); }
TEST(Bpe, CharactersWithByteFallback) { expect_equal(false, {.byte_fallback = true}); }
TEST(Bpe, UnknownCharacters) { expect_equal(false, {.unk_id = 1}); }
TEST(Bpe, UnknownCharactersThatFuse) { expect_equal(false, {.fuse_unk = true, .unk_id = 1}); }
TEST(Bpe, CharactersThatVanish) { expect_equal(false, {}); }

/// A text must not be cut where a byte token merges, although its spelling is not that of the text.
TEST(Bpe, ByteTokensMayMerge) {
  Random r(1, false, true);
  r.add("a");
  r.add("\xE2\x96\x81");
  r.add("merged");
  const TokenId a = *r.vocab.find("a");
  const TokenId merged = *r.vocab.find("merged");
  r.merges = {{0x80, a, {0, merged}}, {*r.vocab.find("\xE2\x96\x81"), 0xF0, {1, a}}};
  const BpeOptions options{.byte_fallback = true};
  const Bpe bpe(r.vocab, options, r.merges);
  // U+10000 is F0 90 80 80 and no token.
  const std::string word =
      "\xF0\x90\x80\x80"
      "a\xE2\x96\x81\xF0\x90\x80\x80"
      "a";
  std::vector<TokenId> ids;
  const auto session = bpe.start(10);
  session->tokenize(word, ids);
  session->finish(ids);
  EXPECT_EQ(ids, by_definition(r, options, word));
  EXPECT_THAT(ids, testing::Contains(merged));
}

}  // namespace
}  // namespace openllm::tokenizer
