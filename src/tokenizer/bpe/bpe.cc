#include "tokenizer/bpe/bpe.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/bpe/bpe_merge.h"
#include "tokenizer/unicode/byte_level.h"
#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/vocab/byte_tokens.h"
#include "tokenizer/vocab/word_cache.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";
constexpr char32_t kMetaChar = 0x2581;

/// There is a token for every byte of valid UTF-8.
bool has_all_bytes(const TokenId* tokens) noexcept {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool in_utf8 = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
    if (in_utf8 && tokens[byte] < 0) return false;
  }
  return true;
}

}  // namespace

class Bpe::BpeSession final : public Session {
 public:
  BpeSession(const Bpe& bpe, std::size_t text_bytes)
      : bpe_(bpe), merger_(bpe.merges_), cache_(text_bytes) {}

  void tokenize(std::string_view word, std::vector<TokenId>& out) override {
    if (word.empty()) return;
    if (bpe_.cuts_ == Cuts::kNone || bpe_.whole_word(word)) return add(word, out);
    // The parts repeat, the whole does not.
    const bool anywhere = bpe_.cuts_ == Cuts::kAnywhere;
    std::size_t begin = 0;
    std::size_t at = 0;
    char32_t before = decode_valid(word, at);
    while (at < word.size()) {
      std::size_t next = at;
      const char32_t after = decode_valid(word, next);
      if ((anywhere || after == kMetaChar) && !bpe_.joins_.joins(before, after)) {
        add(word.substr(begin, at - begin), out);
        begin = at;
      }
      before = after;
      at = next;
    }
    add(word.substr(begin), out);
  }

  void finish(std::vector<TokenId>& out) override {
    if (bpe_.options_.ignore_merges) prefetch_whole_words();
    for (std::size_t i = 0; i < n_waiting_; ++i) {
      const auto& [word, place] = waiting_[i];
      if (cache_.append(place, word, out)) continue;
      const std::size_t begin = out.size();
      tokenize_now(word, out);
      cache_.put(place, word, std::span(out).subspan(begin));
    }
    n_waiting_ = 0;
  }

 private:
  struct Waiting {
    std::string_view word;
    WordCache::Place place;
  };
  static constexpr std::size_t kMaxWaiting = 16;

  /// Words wait for others, so that what is known of them is loaded for several at once.
  void add(std::string_view word, std::vector<TokenId>& out) {
    if (n_waiting_ == kMaxWaiting) finish(out);
    waiting_[n_waiting_++] = {word, cache_.find_place(word)};
  }

  void prefetch_whole_words() const noexcept {
    for (std::size_t i = 0; i < n_waiting_; ++i) {
      const auto& [word, place] = waiting_[i];
      if (!cache_.holds(place, word)) bpe_.prefetch_whole_word(word);
    }
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
  std::array<Waiting, kMaxWaiting> waiting_;
  std::size_t n_waiting_ = 0;
  std::vector<TokenId> symbols_;
};

Bpe::Bpe(const Vocab& vocab, BpeOptions options, std::span<const MergeTable::Entry> merges)
    : vocab_(&vocab), options_(std::move(options)) {
  find_byte_tokens();
  merges_ = MergeTable(merges, find_letters());
  cuts_ = find_cuts(merges);
  if (cuts_ != Cuts::kNone) joins_ = CharJoins(vocab, merges);
  if (options_.byte_level && options_.ignore_merges) find_words();
}

std::vector<TokenId> Bpe::find_letters() const {
  std::vector<TokenId> letters;
  if (options_.byte_level) {
    letters.assign(byte_tokens_[0][0], byte_tokens_[0][0] + 255);  // no text has the byte 0xFF
  } else {
    letters.push_back(vocab_->find(kMeta).value_or(-1));
    for (char c = 1; c > 0 && c < 127; ++c)
      letters.push_back(vocab_->find(std::string_view(&c, 1)).value_or(-1));
  }
  return letters;
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

Bpe::Cuts Bpe::find_cuts(std::span<const MergeTable::Entry> merges) const {
  if (options_.byte_level || options_.ignore_merges || !options_.continuing_prefix.empty() ||
      !options_.word_suffix.empty())
    return Cuts::kNone;
  // These tokens do not spell the characters that they stand for, so that CharJoins would not see
  // what they join.
  std::vector<bool> opaque(static_cast<std::size_t>(vocab_->size()));
  for (const TokenId id : fallback_tokens_) {
    if (id >= 0) opaque[static_cast<std::size_t>(id)] = true;
  }
  if (options_.unk_id) opaque[static_cast<std::size_t>(*options_.unk_id)] = true;
  for (const MergeTable::Entry& merge : merges) {
    if (opaque[static_cast<std::size_t>(merge.left)] ||
        opaque[static_cast<std::size_t>(merge.right)])
      return Cuts::kNone;
  }
  // Unknown characters fuse with their neighbours and wait for the next known one.
  if (options_.byte_fallback && has_all_bytes(fallback_tokens_)) return Cuts::kAnywhere;
  // Without an unknown token they vanish, and those beside them become neighbours.
  return options_.unk_id && vocab_->find(kMeta) ? Cuts::kBeforeMeta : Cuts::kNone;
}

void Bpe::find_byte_tokens() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto c = static_cast<char>(byte);
    ascii_tokens_[byte] = vocab_->find(std::string_view(&c, 1)).value_or(-1);
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

std::optional<TokenId> Bpe::whole_word(std::string_view word) const noexcept {
  const bool may_be_whole =
      options_.ignore_merges ||
      (options_.whole_newlines && word.find_first_not_of('\n') == std::string_view::npos);
  if (!may_be_whole) return std::nullopt;
  return options_.byte_level ? words_.find(word) : vocab_->find(word);
}

void Bpe::prefetch_whole_word(std::string_view word) const noexcept {
  options_.byte_level ? words_.prefetch(hash_bytes(word)) : vocab_->prefetch(hash_bytes(word));
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

std::optional<TokenId> Bpe::find_char(std::string_view spelled) const noexcept {
  const auto first = static_cast<unsigned char>(spelled[0]);
  if (spelled.size() > 1 || first >= 0x80) return vocab_->find(spelled);
  return ascii_tokens_[first] < 0 ? std::nullopt : std::optional(ascii_tokens_[first]);
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
    if (const auto id = find_char(spelled)) {
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
  if (options_.byte_level) {
    const bool all_known = has_all_bytes(byte_tokens_[0][0]) && has_all_bytes(byte_tokens_[0][1]);
    if (!all_known && options_.unk_id && options_.fuse_unk) return 0;
    return vocab_->longest_chars();  // a character of the alphabet is a byte
  }
  if (options_.byte_fallback && has_all_bytes(fallback_tokens_)) return vocab_->longest_bytes();
  constexpr std::size_t kMaxCharBytes = 4;  // of one unknown token, however short its spelling
  return options_.unk_id && !options_.fuse_unk ? vocab_->longest_bytes() * kMaxCharBytes : 0;
}

bool Bpe::may_vanish(unsigned char byte) const noexcept {
  return options_.byte_level && !options_.unk_id &&
         (byte_tokens_[0][0][byte] < 0 || byte_tokens_[0][1][byte] < 0);
}

}  // namespace openllm::tokenizer
