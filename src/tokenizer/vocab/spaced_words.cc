#include "tokenizer/vocab/spaced_words.h"

#include <algorithm>

#include "tokenizer/vocab/byte_tokens.h"
#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";

}  // namespace

SpacedWords::SpacedWords(const Vocab& vocab, std::optional<TokenId> unk_id, bool byte_fallback)
    : vocab_(&vocab), unk_id_(unk_id) {
  if (byte_fallback) byte_tokens_ = find_byte_tokens(vocab);
}

void SpacedWords::append_unknown(std::string_view word, std::size_t begin, std::size_t end,
                                 std::vector<Piece>& out) const {
  if (!byte_tokens_.empty()) {
    for (std::size_t i = begin; i < end; ++i)
      out.push_back({byte_tokens_[static_cast<unsigned char>(word[i])], begin, end});
  } else if (unk_id_ && !out.empty() && out.back().id == *unk_id_ && out.back().end == begin) {
    out.back().end = end;
  } else if (unk_id_) {
    out.push_back({*unk_id_, begin, end});
  }
}

void SpacedWords::locate(std::string_view word, std::vector<Piece>& out) const {
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t end = std::min(word.find(kMeta, begin + 1), word.size());
    if (const auto id = vocab_->find(word.substr(begin, end - begin))) {
      out.push_back({*id, begin, end});
    } else {
      append_unknown(word, begin, end, out);
    }
    begin = end;
  }
}

std::unique_ptr<Model::Session> SpacedWords::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer
