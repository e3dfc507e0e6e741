#include "tokenizer/bpe/char_joins.h"

#include "base/utf8.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {

CharJoins::CharJoins(const Vocab& vocab, std::span<const MergeTable::Entry> merges)
    : bits_((std::size_t{1} << kLogBits) / 64) {
  const auto n_tokens = static_cast<std::size_t>(vocab.size());
  std::vector<char32_t> first(n_tokens), last(n_tokens);
  for (std::size_t id = 0; id < n_tokens; ++id) {
    const std::string_view piece = vocab.piece(static_cast<TokenId>(id));
    if (piece.empty()) continue;
    std::size_t begin = 0;
    first[id] = base::decode_utf8(piece, begin);
    last[id] = char_before(piece, piece.size());
  }
  for (const MergeTable::Entry& merge : merges) {
    const std::size_t bit = bit_of(last[static_cast<std::size_t>(merge.left)],
                                   first[static_cast<std::size_t>(merge.right)]);
    bits_[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
}

}  // namespace openllm::tokenizer
