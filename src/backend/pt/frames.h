#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "step/step.h"

// Messages between this process and its Python worker (pt_worker.py): the length of a JSON text as
// a 32-bit little-endian number, and the text. The worker's are not trusted.

namespace openllm::backend::pt {

/// Longest answer; logits do not come in answers.
inline constexpr std::uint32_t kMaxAnswerBytes = 1 << 20;
inline constexpr std::size_t kHeadBytes = 4;

/// With its length before it. Throws kResourceExhausted beyond 4 GiB.
std::string make_frame(const base::Json& message);
/// The length that a frame's head announces. Throws kIo when it is 0 or above `kMaxAnswerBytes`.
std::uint32_t parse_head(std::string_view head);

/// What the worker tells of the model that it loaded.
struct LoadedModel {
  int vocab_size = 0;
  int n_layers = 0;
  std::string device{};
  std::string dtype{};
  std::string way{};       ///< How sequences are computed: "batches", "chunks", "tokens", "whole".
  std::string versions{};  ///< Of the packages.
};

/// All throw what the worker reports: kUnavailable for a missing package, kUnsupported,
/// kInvalidArgument, kResourceExhausted for a lack of memory, else kInternal; kIo for what is no
/// answer of a worker.
LoadedModel parse_loaded(std::string_view text);
/// Rows of logits that were written.
std::int64_t parse_step_done(std::string_view text);
/// Of an adapter. What the worker reports is where "adapters".
void parse_mounted(std::string_view text);

/// An adapter that the worker has, by the number that it was mounted with.
struct AdapterPart {
  std::int64_t adapter = 0;
  float factor = 1.0F;
};

/// A sequence of a step as the worker gets it.
struct SequenceOrder {
  std::int64_t id = 0;
  std::int64_t past_len = 0;
  std::span<const std::int32_t> tokens{};
  std::vector<std::int64_t> outputs{};  ///< Of `tokens`, those whose logits are wanted.
  std::int64_t rope_len = 0;            ///< As step::SequenceRows.
  std::vector<AdapterPart> adapters{};  ///< Their sum.
};
std::string make_step_frame(std::span<const SequenceOrder> sequences,
                            std::span<const std::int64_t> freed);
std::string make_free_frame(std::span<const std::int64_t> freed);
std::string make_mount_frame(std::int64_t adapter, const std::string& path);
/// Adapters that nobody uses any more.
std::string make_drop_frame(std::span<const std::int64_t> adapters);

}  // namespace openllm::backend::pt
