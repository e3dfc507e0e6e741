#include "model/step_check.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace openllm::model {
namespace {

template <typename... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) base::fail(ErrorCode::kInvalidArgument, "step: ", parts...);
}

void check_rows(const step::Step& step, const ModelSpec& spec) {
  require(step.positions.size() == step.token_ids.size(), "wrong number of positions (expected ",
          step.token_ids.size(), ", got ", step.positions.size(), ")");
  require(step.token_types.empty() || step.token_types.size() == step.token_ids.size(),
          "wrong number of token types (expected ", step.token_ids.size(), ", got ",
          step.token_types.size(), ")");
  const auto n_given = std::count(step.token_ids.begin(), step.token_ids.end(), -1);
  const bool has_embeddings = !step.embeddings.empty();
  require(!has_embeddings || !spec.layer_inputs,
          "given embeddings, but the model needs every row's token id");
  require(!has_embeddings || step.embeddings.size() == static_cast<std::size_t>(n_given * spec.dim),
          "wrong number of embeddings (expected ", n_given * spec.dim, " numbers, got ",
          step.embeddings.size(), ")");
  for (std::size_t t = 0; t < step.token_ids.size(); ++t) {
    const std::int32_t id = step.token_ids[t];
    const bool given = id == -1 && has_embeddings;
    require(given || (id >= 0 && id < spec.vocab_size), "row ", t,
            ": token id out of range (expected 0 to ", spec.vocab_size - 1, ", got ", id, ")");
    const std::int64_t position = step.positions[t];
    require(position >= 0, "row ", t, ": negative position ", position);
    const EmbeddingSpec& table = spec.embedding;
    const std::int32_t type = step.token_types.empty() ? 0 : step.token_types[t];
    require(type == 0 || (type > 0 && type < table.n_token_types), "row ", t,
            ": no such token type (got ", type, ")");
    require(table.n_positions == 0 || position + table.position_offset < table.n_positions, "row ",
            t, ": position beyond the model's table (expected less than ",
            table.n_positions - table.position_offset, ", got ", position, ")");
  }
}

/// Output rows are ascending and within the step.
void check_outputs(const step::Step& step, const StepLimits& limits) {
  require(step.logit_rows.size() <= static_cast<std::size_t>(limits.max_output_rows),
          "too many output rows (expected at most ", limits.max_output_rows, ", got ",
          step.logit_rows.size(), ")");
  require(step.n_outputs() <= limits.max_rows, "too many rows with results (expected at most ",
          limits.max_rows, ", got ", step.n_outputs(), ")");
  for (const auto* rows : {&step.logit_rows, &step.hidden_rows}) {
    std::int64_t last = -1;
    for (const std::int32_t row : *rows) {
      require(row > last && row < step.n_rows(), "bad output row ", row);
      last = row;
    }
  }
}

void check_sequences(const step::Step& step, const Adapters& adapters) {
  std::int64_t next = 0;
  for (const step::SequenceRows& sequence : step.sequences) {
    require(sequence.first_row == next && sequence.n_rows > 0 && sequence.past_len >= 0 &&
                sequence.rope_len >= 0,
            "sequences must cover the rows in order (expected first row ", next, ", got ",
            sequence.first_row, " with ", sequence.n_rows, " rows)");
    require(sequence.adapter == 0 || adapters.has(sequence.adapter),
            "no such adapter is mounted (got ", sequence.adapter, ")");
    next += sequence.n_rows;
    require(next <= step.n_rows(), "sequences have more rows than the step (expected ",
            step.n_rows(), ", got ", next, ")");
    if (step.visible_end.empty()) continue;
    const std::int64_t length = std::int64_t{sequence.past_len} + sequence.n_rows;
    for (std::int64_t t = sequence.first_row; t < next; ++t) {
      const std::int32_t end = step.visible_end[static_cast<std::size_t>(t)];
      require(end >= 0 && end < length, "row ", t, ": visible end out of range (expected 0 to ",
              length - 1, ", got ", end, ")");
    }
  }
  require(next == step.n_rows(), "sequences do not cover all rows (expected ", step.n_rows(),
          ", got ", next, ")");
}

/// Of encoders that know distances up to some length.
void check_distances(const step::Step& step, const ModelSpec& spec) {
  const auto* attention = spec.layers.empty()
                              ? nullptr
                              : std::get_if<DisentangledAttentionSpec>(&spec.layers.front().mixer);
  if (attention == nullptr) return;
  const auto longest = static_cast<std::int64_t>(attention->buckets.size() / 2 + 1);
  for (const step::SequenceRows& sequence : step.sequences) {
    require(sequence.n_rows <= longest, "sequence longer than distances are known for (expected ",
            "at most ", longest, " rows, got ", sequence.n_rows, ")");
  }
}

/// Source texts come whole, and only where an encoder reads them.
void check_sources(const step::Step& step, const ModelSpec& spec, const StepLimits& limits) {
  std::int64_t n_sources = 0;
  for (std::size_t s = 0; s < step.sequences.size(); ++s) {
    const step::SequenceRows& sequence = step.sequences[s];
    require(!limits.whole_sequences || sequence.past_len == 0, "sequence ", s,
            ": an encoder reads whole sequences (expected past_len 0, got ", sequence.past_len,
            ")");
    require(spec.encoder ? sequence.source_len > 0 : sequence.source_len == 0, "sequence ", s,
            ": wrong source length ", sequence.source_len, " for this model");
    require(sequence.n_source_rows == 0 || sequence.n_source_rows == sequence.source_len,
            "sequence ", s, ": a source is encoded whole (expected ", sequence.source_len,
            " rows or none, got ", sequence.n_source_rows, ")");
    if (spec.encoder && spec.encoder->embedding.n_positions > 0) {
      const EmbeddingSpec& table = spec.encoder->embedding;
      require(sequence.source_len <= table.n_positions - table.position_offset, "sequence ", s,
              ": source beyond the encoder's table (expected at most ",
              table.n_positions - table.position_offset, " tokens, got ", sequence.source_len, ")");
    }
    n_sources += sequence.n_source_rows;
  }
  require(n_sources == static_cast<std::int64_t>(step.source_ids.size()) &&
              n_sources <= limits.max_rows,
          "wrong number of source tokens (expected ", n_sources, ", at most ", limits.max_rows,
          ", got ", step.source_ids.size(), ")");
  for (const std::int32_t id : step.source_ids) {
    require(id >= 0 && id < spec.vocab_size, "source token id out of range (expected 0 to ",
            spec.vocab_size - 1, ", got ", id, ")");
  }
}

/// The state that the sequence goes on from and the one that it ends with must be there; those
/// between are kept where the table has a block.
void check_states(std::span<const std::int32_t> blocks, std::size_t s,
                  const step::SequenceRows& sequence, int block_size, int n_blocks) {
  const std::int64_t length = std::int64_t{sequence.past_len} + sequence.n_rows;
  const std::int64_t last = (length - 1) / block_size;
  const std::int64_t first =
      std::max<std::int64_t>(0, std::int64_t{sequence.past_len} - 1) / block_size;
  for (std::int64_t b = first; b <= last; ++b) {
    const std::int32_t id = blocks[static_cast<std::size_t>(b)];
    const bool is_needed = b == last || (b == first && sequence.past_len > 0);
    require((id >= 0 || !is_needed) && id >= -1 && id < n_blocks, "sequence ", s,
            ": block id of a state out of range (expected 0 to ", n_blocks - 1, ", got ", id, ")");
  }
}

/// Blocks the sequence's rows read or write: all, or those that reach into the window of its first
/// row.
void check_blocks(const step::BlockTable& table, std::size_t s, const step::SequenceRows& sequence,
                  const kv::KvGroupSpec& group, int block_size, int n_blocks) {
  const std::int64_t begin = table.begin[s];
  const std::int64_t end = table.begin[s + 1];
  require(begin >= 0 && begin <= end && end <= static_cast<std::int64_t>(table.ids.size()),
          "sequence ", s, ": bad block table range ", begin, " to ", end);
  const std::int64_t length = group.kind == kv::KvKind::kCross
                                  ? std::int64_t{sequence.source_len}
                                  : std::int64_t{sequence.past_len} + sequence.n_rows;
  const std::int64_t needed = (length + block_size - 1) / block_size;
  require(end - begin >= needed, "sequence ", s, ": too few blocks (expected ", needed, ", got ",
          end - begin, ")");
  if (group.kind == kv::KvKind::kState) {
    check_states(std::span(table.ids).subspan(static_cast<std::size_t>(begin),
                                              static_cast<std::size_t>(end - begin)),
                 s, sequence, block_size, n_blocks);
    return;
  }
  const std::int64_t first_seen =
      group.kind == kv::KvKind::kWindow
          ? std::max<std::int64_t>(0, std::int64_t{sequence.past_len} - group.window + 1)
          : 0;
  for (std::int64_t b = first_seen / block_size; b < needed; ++b) {
    const std::int32_t id = table.ids[static_cast<std::size_t>(begin + b)];
    require(id >= 0 && id < n_blocks, "sequence ", s, ": block id out of range (expected 0 to ",
            n_blocks - 1, ", got ", id, ")");
  }
}

void check_copies(const step::Step& step, const std::vector<int>& blocks_per_group) {
  for (const step::BlockCopy& copy : step.copies) {
    require(copy.group >= 0 && static_cast<std::size_t>(copy.group) < blocks_per_group.size(),
            "copy in an unknown KV group ", copy.group);
    const int n_blocks = blocks_per_group[static_cast<std::size_t>(copy.group)];
    for (const std::int32_t id : {copy.from, copy.to}) {
      require(id >= 0 && id < n_blocks, "copy: block id out of range (expected 0 to ", n_blocks - 1,
              ", got ", id, ")");
    }
  }
}

}  // namespace

void check_step(const step::Step& step, const ModelSpec& spec, const StepLimits& limits) {
  require(!step.token_ids.empty(), "no rows");
  require(step.token_ids.size() <= static_cast<std::size_t>(limits.max_rows),
          "too many rows (expected at most ", limits.max_rows, ", got ", step.token_ids.size(),
          ")");
  require(step.sequences.size() <= static_cast<std::size_t>(limits.max_sequences),
          "too many sequences (expected at most ", limits.max_sequences, ", got ",
          step.sequences.size(), ")");
  require(step.visible_end.empty() || step.visible_end.size() == step.token_ids.size(),
          "wrong number of visible ends (expected ", step.token_ids.size(), ", got ",
          step.visible_end.size(), ")");
  check_rows(step, spec);
  check_outputs(step, limits);
  check_sequences(step, *limits.adapters);
  check_distances(step, spec);
  check_sources(step, spec, limits);
  check_copies(step, *limits.blocks_per_group);
  require(spec.head || step.logit_rows.empty(), "this network gives no logits, only hidden states");
  require(step.block_tables.size() == limits.groups->size(),
          "wrong number of block tables (expected ", limits.groups->size(), ", got ",
          step.block_tables.size(), ")");
  for (std::size_t g = 0; g < limits.groups->size(); ++g) {
    const step::BlockTable& table = step.block_tables[g];
    require(table.begin.size() == step.sequences.size() + 1, "block table ", g,
            ": wrong number of sequences (expected ", step.sequences.size() + 1, " bounds, got ",
            table.begin.size(), ")");
    for (std::size_t s = 0; s < step.sequences.size(); ++s) {
      check_blocks(table, s, step.sequences[s], (*limits.groups)[g], limits.block_size,
                   (*limits.blocks_per_group)[g]);
    }
  }
}

}  // namespace openllm::model
