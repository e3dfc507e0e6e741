#pragma once

#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

struct SpelledMerge {
  std::string_view left, right;
};

/// Treatment of a merge whose parts or result are not in the vocabulary.
enum class MissingTokens { kFail, kSkip };

/// Merges as files spell them; the rank of each is its index. `prefix` is removed from the right
/// part when the two are joined. Throws kCorruptData for tokens that are missing, if they must not
/// be.
std::vector<MergeTable::Entry> read_spelled_merges(
    const Vocab& vocab, std::size_t n_merges, base::FunctionRef<SpelledMerge(std::size_t)> merge_at,
    std::string_view prefix, MissingTokens missing);

}  // namespace openllm::tokenizer
