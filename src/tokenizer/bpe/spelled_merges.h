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

/// Merges as files spell them; the rank of each is its index. `prefix` is removed from the right
/// part when the two are joined. Throws kCorruptData "WHEREi: ..." for tokens that are missing.
std::vector<MergeTable::Entry> read_spelled_merges(
    const Vocab& vocab, std::size_t n_merges, base::FunctionRef<SpelledMerge(std::size_t)> merge_at,
    std::string_view prefix, std::string_view where);

}  // namespace openllm::tokenizer
