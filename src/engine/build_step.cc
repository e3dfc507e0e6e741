#include "engine/build_step.h"

#include <algorithm>
#include <cstdint>

namespace openllm::engine {
namespace {

/// Rows whose logits the prompt's report wants, and the last one if a token is drawn from it.
void add_output_rows(Sequence& sequence, int first_row, std::vector<std::int32_t>& rows) {
  sequence.first_output = static_cast<int>(rows.size());
  const Candidate c = sequence.candidate();
  for (int i = c.report_begin; i < std::min(c.report_end, sequence.n_rows); ++i) {
    rows.push_back(first_row + i);
  }
  const int last = first_row + sequence.n_rows - 1;
  const bool draws = c.wants_last && sequence.n_rows == c.n_remaining;
  const bool has_it = static_cast<int>(rows.size()) > sequence.first_output && rows.back() == last;
  if (draws && !has_it) rows.push_back(last);
  for (int i = 1; i <= sequence.drafts.n(); ++i) rows.push_back(last + i);
}

void add_hidden_rows(Sequence& sequence, int first_row, std::vector<std::int32_t>& rows) {
  sequence.first_hidden = static_cast<int>(rows.size());
  const PromptRows wanted = sequence.hidden_rows();
  for (int p = wanted.begin; p < wanted.end; ++p)
    rows.push_back(first_row + p - sequence.n_computed);
}

/// The kinds of a sequence's rows; those of the rows before it are filled up when it is the first
/// that has any.
void add_token_types(const Sequence& sequence, step::Step& out) {
  const std::vector<std::int32_t>& types = sequence.request->request.token_types;
  if (types.empty() && out.token_types.empty()) return;
  const int n = sequence.n_rows + sequence.drafts.n();
  out.token_types.resize(out.token_ids.size() - static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(sequence.n_computed + i);
    out.token_types.push_back(at < types.size() ? types[at] : 0);
  }
}

}  // namespace

void build_step(std::span<Sequence* const> batch, step::Step& out,
                std::span<const kv::BlockCopy> copies) {
  out.clear();
  for (const kv::BlockCopy& copy : copies)
    out.copies.push_back({static_cast<std::int32_t>(copy.group), copy.from, copy.to});
  for (step::BlockTable& table : out.block_tables) table.begin.push_back(0);
  for (Sequence* sequence : batch) {
    const RequestState& r = *sequence->request;
    step::SequenceRows entry;
    entry.first_row = static_cast<std::int32_t>(out.token_ids.size());
    const std::span<const std::int32_t> drafts = sequence->drafts.tokens();
    entry.n_rows = sequence->n_rows + sequence->drafts.n();
    entry.past_len = sequence->n_computed;
    entry.adapter = r.request.adapter;
    entry.rope_len = r.n_prompt + r.max_new;
    entry.sequence_id = sequence->id;
    entry.source_len = static_cast<std::int32_t>(r.request.source_ids.size());
    entry.n_source_rows = sequence->n_source_rows();
    if (entry.n_source_rows > 0) {
      out.source_ids.insert(out.source_ids.end(), r.request.source_ids.begin(),
                            r.request.source_ids.end());
    }
    out.sequences.push_back(entry);
    const auto begin = sequence->tokens.begin() + sequence->n_computed;
    out.token_ids.insert(out.token_ids.end(), begin, begin + sequence->n_rows);
    out.token_ids.insert(out.token_ids.end(), drafts.begin(), drafts.end());
    for (int i = 0; i < entry.n_rows; ++i) out.positions.push_back(sequence->n_computed + i);
    for (std::size_t g = 0; g < out.block_tables.size(); ++g) {
      step::BlockTable& table = out.block_tables[g];
      for (const kv::BlockRef& block : sequence->blocks.table(g)) table.ids.push_back(block.id());
      table.begin.push_back(static_cast<std::int32_t>(table.ids.size()));
    }
    add_output_rows(*sequence, entry.first_row, out.logit_rows);
    add_hidden_rows(*sequence, entry.first_row, out.hidden_rows);
    add_token_types(*sequence, out);
  }
}

}  // namespace openllm::engine
