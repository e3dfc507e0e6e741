#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "openllm/error.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

// Receipts: what an answer was made of, as JSON. docs/receipts.md has the form.
namespace openllm {

/// What LLM::replay found.
struct ReplayResult {
  /// Every choice has the tokens, the text and the finish reason that the receipt has.
  bool same = false;
  /// The first choice that differs; -1: none does, or there is no answer to compare.
  int choice = -1;
  /// Index of its first token that differs, or that only one of the two has; -1: its tokens are the
  /// same, or not known (GenerateOptions::receipt_hash_only).
  std::int64_t first_different_token = -1;
  /// Model, version, device and settings that are not those of the receipt, and why there is no
  /// answer, one sentence each.
  std::vector<std::string> notes{};
  /// The answer that was made now.
  GenerationOutput output{};
};

/// The model of a receipt, to load it for a replay.
struct ReceiptModel {
  std::string tag{};     ///< As LLM::tag; the store finds it unless it was a path.
  std::string name{};    ///< Its public name.
  std::string sha256{};  ///< Of its files, as StoredModel::sha256.
  /// With the backend, device and settings that answers depend on.
  LoadOptions load{};
};
/// Throws kInvalidArgument for what is no receipt, kCorruptData for one that was changed,
/// kUnsupported for one of a later format.
OPENLLM_API ReceiptModel receipt_model(const std::string& receipt);

}  // namespace openllm
