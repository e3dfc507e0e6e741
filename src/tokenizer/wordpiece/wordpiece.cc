#include "tokenizer/wordpiece/wordpiece.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {
namespace {

TokenId require_unknown(std::optional<TokenId> unk_id, std::string_view word) {
  if (unk_id) return *unk_id;
  base::fail(ErrorCode::kInvalidArgument, "tokenizer: no token for \"", word.substr(0, 100),
             "\", and none for unknown words");
}

std::size_t count_chars(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

WordPiece::WordPiece(const Vocab& vocab, WordPieceOptions options) : options_(std::move(options)) {
  std::vector<ByteTrie::Entry> first;
  std::vector<ByteTrie::Entry> rest;
  const std::string_view prefix = options_.continuing_prefix;
  const std::string_view before = options_.first_prefix;
  for (TokenId id = 0; id < vocab.size(); ++id) {
    const std::string_view piece = vocab.piece(id);
    if (!vocab.is_found(id)) continue;
    const auto fits = [&](std::string_view text) {
      return text.size() <= options_.max_word_chars || count_chars(text) <= options_.max_word_chars;
    };
    const bool is_first = piece.starts_with(before);
    if (is_first && fits(piece.substr(before.size())))
      first.push_back({piece.substr(before.size()), id});
    if (!before.empty() && is_first) continue;
    if (piece.starts_with(prefix) && fits(piece.substr(prefix.size())))
      rest.push_back({piece.substr(prefix.size()), id});
  }
  first_ = ByteTrie(std::move(first));
  rest_ = ByteTrie(std::move(rest));
}

bool WordPiece::append_known(std::string_view word, std::vector<Piece>& out) const {
  if (word.size() > options_.max_word_chars && count_chars(word) > options_.max_word_chars)
    return false;
  for (std::size_t begin = 0; begin < word.size();) {
    const ByteTrie::Match match = (begin == 0 ? first_ : rest_).longest(word.substr(begin));
    if (match.length == 0) return false;
    out.push_back({match.id, begin, begin + match.length});
    begin += match.length;
  }
  return true;
}

void WordPiece::locate(std::string_view word, std::vector<Piece>& out) const {
  if (word.empty()) return;
  const std::size_t before = out.size();
  if (append_known(word, out)) return;
  out.resize(before);
  out.push_back({require_unknown(options_.unk_id, word), 0, word.size()});
}

std::unique_ptr<Model::Session> WordPiece::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

void WordLevel::locate(std::string_view word, std::vector<Piece>& out) const {
  if (word.empty()) return;
  const auto id = vocab_->find(word);
  out.push_back({id ? *id : require_unknown(unk_id_, word), 0, word.size()});
}

std::unique_ptr<Model::Session> WordLevel::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer
