#pragma once

#include <span>
#include <vector>

#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// Roles of a token in merges; an OR of the two.
enum MergeRole : unsigned char { kMergePart = 1, kMergeResult = 2 };

/// The merges of a SentencePiece vocabulary, which has scores instead: any two neighbours whose
/// texts together are a token merge into it. The highest score has the lowest rank, equal scores
/// have equal ranks. `scores` and `roles` are indexed by token id; tokens that `vocab` does not
/// find by their spelling have no role. Tokens of more than 1024 bytes take no part. Each pair
/// comes once, in no particular order.
std::vector<MergeTable::Entry> make_score_merges(const Vocab& vocab, std::span<const float> scores,
                                                 std::span<const unsigned char> roles);

}  // namespace openllm::tokenizer
