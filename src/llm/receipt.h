#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

// Receipts as docs/receipts.md describes them: written where an answer ends, read to make it again.
namespace openllm::llm {

/// Who answered: all that equal bytes depend on besides the request.
struct AnswerOrigin {
  std::string version{};  ///< Of openllm.
  std::string tag{};
  std::string name{};
  std::string sha256{};  ///< Of the model's files.
  std::string backend{};
  std::string device{};
  std::string isa{};
  std::string kv_dtype{};
  int kv_block_size = 0;
  int max_model_len = 0;
  bool fast_activations = false;
};

/// A request as the engine got it: no default is left to be filled in, and no text to be tokenized.
struct ResolvedRequest {
  std::vector<std::int32_t> prompt_ids{};
  GenerateOptions options{};  ///< Fields that no configuration has, and the seed.
  LLMConfig config{};         ///< All others. The lengths are those of the answer.
};

/// The receipt so far. `hash_only`: as GenerateOptions::receipt_hash_only. `why_not`, unless empty,
/// says why the answer cannot be made again.
base::Json begin_receipt(const AnswerOrigin& origin, const ResolvedRequest& request, bool hash_only,
                         std::string_view why_not = {});
/// The whole receipt of an answer. `choices` have all of their text and tokens.
std::string end_receipt(base::Json receipt, const std::string& request_id,
                        const std::vector<CompletionChunk>& choices);

/// What a receipt says of one choice.
struct ReceiptChoice {
  std::string finish_reason{};
  std::int64_t n_tokens = 0;
  std::string token_ids_sha256{};
  std::string text_sha256{};
  std::optional<std::vector<std::int32_t>> token_ids{};  ///< None with `hash_only`.
};

struct Receipt {
  AnswerOrigin origin{};
  ResolvedRequest request{};  ///< Without tokens where `has_prompt` is false.
  bool has_prompt = false;
  std::int64_t n_prompt_tokens = 0;
  std::string prompt_sha256{};
  std::vector<ReceiptChoice> choices{};
  std::string why_not_replayable{};  ///< Empty: it can be replayed.
};
/// Throws kInvalidArgument for what is no receipt, naming the place; kCorruptData for one that was
/// changed; kUnsupported for another format.
Receipt parse_receipt(std::string_view text);

/// SHA-256 of the ids, each as four bytes, the lowest first.
std::string sha256_of(const std::vector<std::int32_t>& ids);
std::string sha256_of(std::string_view text);

}  // namespace openllm::llm
