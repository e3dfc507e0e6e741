#include "tokenizer/files/ranked_tokens.h"

#include "base/error.h"
#include "tokenizer/bpe/bpe.h"
#include "tokenizer/bpe/score_merges.h"
#include "tokenizer/unicode/byte_level.h"

namespace openllm::tokenizer {

void set_ranked_tokens(PipelineParts& parts, const std::vector<RankedToken>& tokens,
                       TokenId first_id, std::string_view pattern, std::string_view where) {
  const std::size_t n_ids = tokens.size() + static_cast<std::size_t>(first_id);
  parts.vocab = std::make_unique<Vocab>();
  parts.vocab->reserve(n_ids, 0);
  std::vector<bool> has_byte(256);
  for (const RankedToken& token : tokens) {
    if (token.rank < 0 || !Vocab::is_plausible_id(std::int64_t{token.rank} + first_id, n_ids))
      base::fail_at(ErrorCode::kCorruptData, where, "rank ", token.rank, " of ", tokens.size(),
                    " tokens");
    if (token.bytes.empty()) base::fail_at(ErrorCode::kCorruptData, where, "an empty token");
    parts.vocab->set(token.rank + first_id, map_bytes(token.bytes));
    if (token.bytes.size() == 1) has_byte[static_cast<unsigned char>(token.bytes[0])] = true;
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (!has_byte[byte])
      base::fail_at(ErrorCode::kCorruptData, where, "no token for the byte ", byte);
  }
  const auto size = static_cast<std::size_t>(parts.vocab->size());
  std::vector<float> scores(size);
  std::vector<unsigned char> roles(size);
  for (const RankedToken& token : tokens) {
    const auto index = static_cast<std::size_t>(token.rank + first_id);
    scores[index] = -static_cast<float>(token.rank);
    if (parts.vocab->is_found(token.rank + first_id)) roles[index] = kMergePart | kMergeResult;
  }
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = true;
  parts.model =
      std::make_unique<Bpe>(*parts.vocab, options, make_score_merges(*parts.vocab, scores, roles));
  parts.pre_tokenizer = make_regex_pre_tokenizer({pattern}, where);
  parts.decoder = DecodeRules::byte_level();
  parts.raw_added_text = true;
}

}  // namespace openllm::tokenizer
