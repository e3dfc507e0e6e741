#pragma once

#include <span>
#include <vector>

#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {

/// What a token may be in a merge; an OR of the two.
enum MergeRole : unsigned char { kMergePart = 1, kMergeResult = 2 };

/// The merges of a SentencePiece vocabulary, which has scores instead: any two neighbours that make
/// a token merge, the highest score first, equal scores have equal ranks. `scores` and `roles` are
/// by token id; without roles are the tokens that `vocab` does not find by their spelling. Tokens
/// of more than 1024 bytes take no part. In no particular order; every pair once.
std::vector<MergeTable::Entry> make_score_merges(const Vocab& vocab, std::span<const float> scores,
                                                 std::span<const unsigned char> roles);

}  // namespace openllm::tokenizer
