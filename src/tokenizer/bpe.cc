#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/bpe_merge.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/unicode.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";  // U+2581
constexpr std::size_t kMaxCachedWord = 64;
constexpr std::size_t kMinCacheSlots = 64;
constexpr std::size_t kMaxCacheSlots = 1 << 15;

std::string byte_token(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return base::cat("<0x", kDigits[byte >> 4U], kDigits[byte & 15U], ">");
}

/// Words seen in one call and where their tokens stand in its output. Each hash has one place; the
/// newest word wins.
class WordCache {
 public:
  explicit WordCache(std::size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp(text_bytes / 16, kMinCacheSlots, kMaxCacheSlots))) {}

  struct Entry {
    std::string_view word;
    std::size_t begin = 0;
    std::size_t count = 0;
  };
  Entry& at(std::string_view word) noexcept {
    return entries_[hash_bytes(word) & (entries_.size() - 1)];
  }

 private:
  std::vector<Entry> entries_;
};

}  // namespace

class Bpe::BpeSession final : public Session {
 public:
  BpeSession(const Bpe& bpe, std::size_t text_bytes)
      : bpe_(bpe), merger_(bpe.merges_), cache_(text_bytes) {}

  void tokenize(std::string_view word, std::vector<TokenId>& out) override {
    if (!bpe_.can_cut_) return tokenize_cached(word, out);
    // No merge crosses these places, so the parts can be encoded alone; they repeat, the whole does
    // not.
    std::size_t begin = 0;
    for (std::size_t at = word.find(kMeta, 1); at != std::string_view::npos;
         at = word.find(kMeta, at + kMeta.size())) {
      if (at == begin || !bpe_.can_cut_after(char_before(word, at))) continue;
      tokenize_cached(word.substr(begin, at - begin), out);
      begin = at;
    }
    tokenize_cached(word.substr(begin), out);
  }

 private:
  void tokenize_cached(std::string_view word, std::vector<TokenId>& out) {
    if (word.size() > kMaxCachedWord) return tokenize_now(word, out);
    WordCache::Entry& entry = cache_.at(word);
    if (entry.word == word) {
      const std::size_t begin = out.size();
      out.resize(begin + entry.count);
      std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(entry.begin), entry.count,
                  out.begin() + static_cast<std::ptrdiff_t>(begin));
      return;
    }
    const std::size_t begin = out.size();
    tokenize_now(word, out);
    entry = {word, begin, out.size() - begin};
  }

  void tokenize_now(std::string_view word, std::vector<TokenId>& out) {
    if (const auto id = bpe_.whole_word(word)) {
      out.push_back(*id);
      return;
    }
    symbols_.clear();
    if (bpe_.options_.byte_level) {
      bpe_.append_bytes(word, symbols_);
    } else {
      bpe_.append_chars(word, symbols_);
    }
    merger_.merge(symbols_);
    out.insert(out.end(), symbols_.begin(), symbols_.end());
  }

  const Bpe& bpe_;
  BpeMerger merger_;
  WordCache cache_;
  std::vector<TokenId> symbols_;
};

Bpe::Bpe(const Vocab& vocab, BpeOptions options, std::span<const MergeTable::Entry> merges)
    : vocab_(&vocab), options_(std::move(options)), merges_(merges) {
  find_byte_tokens();
  const bool plain = options_.continuing_prefix.empty() && options_.word_suffix.empty();
  can_cut_ =
      !options_.byte_level && !options_.ignore_merges && plain && vocab.find(kMeta).has_value();
  if (can_cut_) find_joined_before_meta(merges);
  if (options_.byte_level && options_.ignore_merges) find_words();
}

void Bpe::find_words() {
  words_.reserve(static_cast<std::size_t>(vocab_->size()), 0);
  std::string bytes;
  for (TokenId id = 0; id < vocab_->size(); ++id) {
    const std::string_view piece = vocab_->piece(id);
    bytes.clear();
    if (vocab_->is_found(id) && append_unmapped(bytes, piece)) words_.set(bytes, id);
  }
}

void Bpe::find_joined_before_meta(std::span<const MergeTable::Entry> merges) {
  std::vector<bool> begins_with_meta(static_cast<std::size_t>(vocab_->size()));
  for (TokenId id = 0; id < vocab_->size(); ++id)
    begins_with_meta[static_cast<std::size_t>(id)] = vocab_->piece(id).starts_with(kMeta);
  for (const MergeTable::Entry& merge : merges) {
    if (!begins_with_meta[static_cast<std::size_t>(merge.right)]) continue;
    const std::string_view before = vocab_->piece(merge.left);
    if (!before.empty()) joined_before_meta_.insert(char_before(before, before.size()));
  }
}

void Bpe::find_byte_tokens() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    fallback_tokens_[byte] = vocab_->find(byte_token(byte)).value_or(-1);
    for (const bool continuing : {false, true}) {
      for (const bool last : {false, true}) {
        std::string piece;
        if (continuing) piece += options_.continuing_prefix;
        base::append_utf8(piece, byte_to_char(static_cast<unsigned char>(byte)));
        if (last) piece += options_.word_suffix;
        byte_tokens_[continuing ? 1 : 0][last ? 1 : 0][byte] = vocab_->find(piece).value_or(-1);
      }
    }
  }
}

bool Bpe::can_cut_after(char32_t before) const noexcept {
  return !joined_before_meta_.contains(before);
}

std::optional<TokenId> Bpe::whole_word(std::string_view word) const noexcept {
  if (!options_.ignore_merges) return std::nullopt;
  return options_.byte_level ? words_.find(word) : vocab_->find(word);
}

void Bpe::append_bytes(std::string_view word, std::vector<TokenId>& out) const {
  bool pending_unk = false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_tokens_[i > 0 ? 1 : 0][i + 1 == word.size() ? 1 : 0]
                                   [static_cast<unsigned char>(word[i])];
    if (id >= 0) {
      out.push_back(id);
    } else if (options_.unk_id && !(pending_unk && options_.fuse_unk)) {
      out.push_back(*options_.unk_id);
    }
    pending_unk = id < 0;
  }
}

bool Bpe::append_fallback(std::string_view spelled, std::vector<TokenId>& out) const {
  const auto token_of = [&](char c) { return fallback_tokens_[static_cast<unsigned char>(c)]; };
  if (!std::all_of(spelled.begin(), spelled.end(), [&](char c) { return token_of(c) >= 0; }))
    return false;
  for (const char c : spelled) out.push_back(token_of(c));
  return true;
}

void Bpe::append_chars(std::string_view word, std::vector<TokenId>& out) const {
  const bool decorated = !options_.continuing_prefix.empty() || !options_.word_suffix.empty();
  std::string spelled_storage;
  // The Hugging Face library emits an unknown token only with the next known one, behind byte
  // tokens in between.
  bool pending_unk = false;
  for (std::size_t pos = 0; pos < word.size();) {
    const std::size_t begin = pos;
    base::decode_utf8(word, pos);
    std::string_view spelled = word.substr(begin, pos - begin);
    if (decorated) {
      spelled_storage = base::cat(begin > 0 ? options_.continuing_prefix : std::string(), spelled,
                                  pos == word.size() ? options_.word_suffix : std::string());
      spelled = spelled_storage;
    }
    if (const auto id = vocab_->find(spelled)) {
      if (pending_unk) out.push_back(*options_.unk_id);
      pending_unk = false;
      out.push_back(*id);
      continue;
    }
    if (options_.byte_fallback && append_fallback(spelled, out)) continue;
    if (!options_.unk_id) continue;
    if (pending_unk && !options_.fuse_unk) out.push_back(*options_.unk_id);
    pending_unk = true;
  }
  if (pending_unk) out.push_back(*options_.unk_id);
}

std::unique_ptr<Model::Session> Bpe::start(std::size_t text_bytes) const {
  return std::make_unique<BpeSession>(*this, text_bytes);
}

std::size_t Bpe::max_token_bytes() const noexcept {
  // Merges join spellings, so a token stands for no more than its spelling, if the tokens of single
  // characters do. With a prefix merging takes something away again.
  if (!options_.continuing_prefix.empty()) return 0;
  const auto has_all = [](const TokenId* tokens) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool in_utf8 = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
      if (in_utf8 && tokens[byte] < 0) return false;
    }
    return true;
  };
  const bool one_for_each_unknown = options_.unk_id.has_value() && !options_.fuse_unk;
  if (options_.byte_level) {
    // A character of the alphabet is a byte.
    const bool all_known = has_all(byte_tokens_[0][0]) && has_all(byte_tokens_[0][1]);
    return all_known || one_for_each_unknown ? vocab_->longest_chars() : 0;
  }
  if (options_.byte_fallback && has_all(fallback_tokens_)) return vocab_->longest_bytes();
  constexpr std::size_t kMaxCharBytes = 4;  // of one unknown token, however short its spelling
  return one_for_each_unknown ? vocab_->longest_bytes() * kMaxCharBytes : 0;
}

}  // namespace openllm::tokenizer
