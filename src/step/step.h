#pragma once

#include <cstdint>
#include <vector>

namespace openllm::step {

/// Rows of one sequence in a step.
struct SequenceRows {
  std::int32_t first_row = 0;
  std::int32_t n_rows = 0;
  /// Tokens of this sequence already in the KV cache; its rows are at past_len, past_len + 1, ...
  std::int32_t past_len = 0;
  std::int32_t adapter = 0;  ///< 0: none.
  /// Total length (prompt and answer) the sequence was admitted with: chooses the factors of RoPE
  /// scalings that depend on length (dynamic, longrope), so it must not change while the sequence
  /// lives. 0: the model's original length.
  std::int32_t rope_len = 0;
  /// Encoder-decoder models: tokens of the source text. Their keys and values are in the sequence's
  /// cross blocks, or get there in this step (`n_source_rows`).
  std::int32_t source_len = 0;
  /// Source tokens that this step encodes: 0, or all `source_len` of them, never a part.
  std::int32_t n_source_rows = 0;
  /// Names the sequence for runners that keep what they computed by sequence, not by block; no
  /// other one ever has it.
  std::int64_t sequence_id = 0;
};

/// Block ids of one KV group: those of all sequences one after the other; sequence s has
/// ids[begin[s] .. begin[s + 1]). Block i of a sequence holds its positions [i * block_size,
/// (i + 1) * block_size); -1: freed (outside the window). In a group of states block i has the
/// state behind the last computed one of those positions; -1: not kept.
struct BlockTable {
  std::vector<std::int32_t> ids{};
  std::vector<std::int32_t> begin{};
};

/// A block whose content goes into another one of its KV group.
struct BlockCopy {
  std::int32_t group = 0;
  std::int32_t from = -1;
  std::int32_t to = -1;
};

/// One step of a model: a ragged batch of T rows (tokens) of S sequences, and which results are
/// wanted. A flat value that goes from the engine to the device as it is, and can be logged,
/// compared, or sent to another process. Buffers keep their capacity from step to step.
struct Step {
  std::vector<std::int32_t> token_ids{};   ///< [T]; -1: the row's embedding is given.
  std::vector<std::int32_t> positions{};   ///< [T]
  std::vector<SequenceRows> sequences{};   ///< [S], covering the rows in order.
  std::vector<BlockTable> block_tables{};  ///< [KV groups]
  std::vector<BlockCopy> copies{};         ///< Done before anything else, in order.
  /// Rows whose logits are wanted, ascending.
  std::vector<std::int32_t> logit_rows{};
  /// Rows whose hidden state behind the last norm is wanted, ascending.
  std::vector<std::int32_t> hidden_rows{};
  /// Last visible position per row, [T]; empty: as the model's attention has it (causal: the row's
  /// own).
  std::vector<std::int32_t> visible_end{};
  /// Embeddings of the rows whose id is -1, in their order: [number of such rows, D] (vision,
  /// audio).
  std::vector<float> embeddings{};
  /// Source tokens to encode, of all sequences with n_source_rows > 0 one after the other.
  std::vector<std::int32_t> source_ids{};
  /// The kind of each row's token, [T], where a network has a table of them; empty: all of kind 0.
  std::vector<std::int32_t> token_types{};

  std::int64_t n_rows() const noexcept { return static_cast<std::int64_t>(token_ids.size()); }
  std::int64_t n_outputs() const noexcept {
    return static_cast<std::int64_t>(logit_rows.size() + hidden_rows.size());
  }
  /// Keeps the number of KV groups.
  void clear() {
    token_ids.clear();
    positions.clear();
    token_types.clear();
    sequences.clear();
    for (BlockTable& table : block_tables) {
      table.ids.clear();
      table.begin.clear();
    }
    copies.clear();
    logit_rows.clear();
    hidden_rows.clear();
    visible_end.clear();
    embeddings.clear();
    source_ids.clear();
  }
};

/// Results of a step, in host memory; valid until the next step.
struct Outputs {
  const float* logits = nullptr;  ///< [logit rows, vocab]
  const float* hidden = nullptr;  ///< [hidden rows, D]
};

}  // namespace openllm::step
