#include "model/batch_check.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"

namespace openllm::model {
namespace {

template <typename... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) base::fail(ErrorCode::kInvalidArgument, "batch: ", parts...);
}

void check_rows(const device::Batch& batch, const DecoderSpec& spec) {
  require(batch.positions.size() == batch.token_ids.size(), "wrong number of positions (expected ",
          batch.token_ids.size(), ", got ", batch.positions.size(), ")");
  for (std::size_t t = 0; t < batch.token_ids.size(); ++t) {
    const std::int32_t id = batch.token_ids[t];
    const bool given = id == -1 && batch.embeddings != nullptr;
    require(given || (id >= 0 && id < spec.vocab_size), "row ", t,
            ": token id out of range (expected 0 to ", spec.vocab_size - 1, ", got ", id, ")");
    const std::int64_t position = batch.positions[t];
    require(position >= 0, "row ", t, ": negative position ", position);
    require(
        spec.position != Position::kLearned || position + spec.position_offset < spec.max_positions,
        "row ", t, ": position beyond the model's table (expected less than ", spec.max_positions,
        ", got ", position, ")");
  }
}

/// Output rows are ascending and within the batch.
void check_outputs(const device::Batch& batch, const BatchLimits& limits) {
  require(batch.output_rows.size() <= static_cast<std::size_t>(limits.max_output_rows),
          "too many output rows (expected at most ", limits.max_output_rows, ", got ",
          batch.output_rows.size(), ")");
  std::int64_t last = -1;
  for (const std::int32_t row : batch.output_rows) {
    require(row > last && row < batch.n_rows(), "bad output row ", row);
    last = row;
  }
}

void check_sequences(const device::Batch& batch) {
  std::int64_t next = 0;
  for (const device::BatchSequence& sequence : batch.sequences) {
    require(sequence.first_row == next && sequence.n_rows > 0 && sequence.past_len >= 0 &&
                sequence.rope_len >= 0,
            "sequences must cover the rows in order (expected first row ", next, ", got ",
            sequence.first_row, " with ", sequence.n_rows, " rows)");
    require(sequence.adapter == 0, "no adapter is mounted (got ", sequence.adapter, ")");
    next += sequence.n_rows;
    require(next <= batch.n_rows(), "sequences have more rows than the batch (expected ",
            batch.n_rows(), ", got ", next, ")");
    if (batch.visible_end.empty()) continue;
    const std::int64_t length = std::int64_t{sequence.past_len} + sequence.n_rows;
    for (std::int64_t t = sequence.first_row; t < next; ++t) {
      const std::int32_t end = batch.visible_end[static_cast<std::size_t>(t)];
      require(end >= 0 && end < length, "row ", t, ": visible end out of range (expected 0 to ",
              length - 1, ", got ", end, ")");
    }
  }
  require(next == batch.n_rows(), "sequences do not cover all rows (expected ", batch.n_rows(),
          ", got ", next, ")");
}

/// Blocks the sequence's rows read or write: all, or those that reach into the window of its first
/// row.
void check_blocks(const device::BlockTable& table, std::size_t s,
                  const device::BatchSequence& sequence, const kv::KvGroupSpec& group,
                  int block_size, int n_blocks) {
  const std::int64_t begin = table.begin[s];
  const std::int64_t end = table.begin[s + 1];
  require(begin >= 0 && begin <= end && end <= static_cast<std::int64_t>(table.ids.size()),
          "sequence ", s, ": bad block table range ", begin, " to ", end);
  const std::int64_t length = std::int64_t{sequence.past_len} + sequence.n_rows;
  const std::int64_t needed = (length + block_size - 1) / block_size;
  require(end - begin >= needed, "sequence ", s, ": too few blocks (expected ", needed, ", got ",
          end - begin, ")");
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

}  // namespace

void check_batch(const device::Batch& batch, const DecoderSpec& spec, const BatchLimits& limits) {
  require(!batch.token_ids.empty(), "no rows");
  require(batch.token_ids.size() <= static_cast<std::size_t>(limits.max_rows),
          "too many rows (expected at most ", limits.max_rows, ", got ", batch.token_ids.size(),
          ")");
  require(batch.visible_end.empty() || batch.visible_end.size() == batch.token_ids.size(),
          "wrong number of visible ends (expected ", batch.token_ids.size(), ", got ",
          batch.visible_end.size(), ")");
  check_rows(batch, spec);
  check_outputs(batch, limits);
  check_sequences(batch);
  require(batch.block_tables.size() == limits.groups->size(),
          "wrong number of block tables (expected ", limits.groups->size(), ", got ",
          batch.block_tables.size(), ")");
  for (std::size_t g = 0; g < limits.groups->size(); ++g) {
    const device::BlockTable& table = batch.block_tables[g];
    require(table.begin.size() == batch.sequences.size() + 1, "block table ", g,
            ": wrong number of sequences (expected ", batch.sequences.size() + 1, " bounds, got ",
            table.begin.size(), ")");
    for (std::size_t s = 0; s < batch.sequences.size(); ++s) {
      check_blocks(table, s, batch.sequences[s], (*limits.groups)[g], limits.block_size,
                   (*limits.blocks_per_group)[g]);
    }
  }
}

}  // namespace openllm::model
