#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/bpe_merge.h"

namespace openllm::tokenizer {

/// As append_bytes, with the lengths.
void Bpe::locate_bytes(std::string_view word, Symbols& out) const {
  append_bytes(word, out.ids);
  out.lengths.assign(out.ids.size(), 1);
  if (out.ids.size() == word.size()) return;
  // Some bytes have no token: they vanish, or several of them are one unknown token.
  out.ids.clear();
  out.lengths.clear();
  bool pending_unk = false;
  std::vector<TokenId> one;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_tokens_[i > 0 ? 1 : 0][i + 1 == word.size() ? 1 : 0]
                                   [static_cast<unsigned char>(word[i])];
    if (id < 0 && pending_unk && options_.fuse_unk && options_.unk_id) {
      ++out.lengths.back();
    } else if (id >= 0 || options_.unk_id) {
      out.ids.push_back(id >= 0 ? id : *options_.unk_id);
      out.lengths.push_back(1);
    }
    pending_unk = id < 0;
  }
}

/// As append_chars, with the lengths. In the Hugging Face library those of characters that vanish
/// are missing, so that what follows seems to come earlier.
void Bpe::locate_chars(std::string_view word, Symbols& out) const {
  const auto push = [&](TokenId id, std::size_t length) {
    out.ids.push_back(id);
    out.lengths.push_back(length);
  };
  std::size_t n_unknown = 0;  // bytes of the unknown token that waits
  const auto push_unknown = [&] {
    if (n_unknown > 0) push(*options_.unk_id, std::exchange(n_unknown, 0));
  };
  std::vector<TokenId> fallback;
  for (std::size_t pos = 0; pos < word.size();) {
    const std::size_t begin = pos;
    base::decode_utf8(word, pos);
    std::string spelled = begin > 0 ? options_.continuing_prefix : std::string();
    spelled += word.substr(begin, pos - begin);
    if (pos == word.size()) spelled += options_.word_suffix;
    fallback.clear();
    if (const auto id = vocab_->find(spelled)) {
      push_unknown();
      push(*id, pos - begin);
    } else if (options_.byte_fallback && append_fallback(spelled, fallback)) {
      for (const TokenId byte : fallback) push(byte, 1);
    } else if (options_.unk_id) {
      if (!options_.fuse_unk) push_unknown();
      n_unknown += pos - begin;
    }
  }
  push_unknown();
}

void Bpe::locate(std::string_view word, std::vector<Piece>& out) const {
  if (const auto id = whole_word(word); id && !word.empty()) {
    out.push_back({*id, 0, word.size()});
    return;
  }
  Symbols symbols;
  options_.byte_level ? locate_bytes(word, symbols) : locate_chars(word, symbols);
  BpeMerger(merges_).merge(symbols.ids, &symbols.lengths);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < symbols.ids.size(); ++i) {
    const std::size_t end = std::min(begin + symbols.lengths[i], word.size());
    out.push_back({symbols.ids[i], std::min(begin, word.size()), end});
    begin += symbols.lengths[i];
  }
}

}  // namespace openllm::tokenizer
