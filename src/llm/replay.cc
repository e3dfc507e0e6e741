#include "llm/replay.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "llm/last_output.h"
#include "llm/receipt.h"

namespace openllm::llm {
namespace {

template <typename Value>
void note(std::vector<std::string>& notes, const char* what, const Value& here,
          const Value& there) {
  if (here != there)
    notes.push_back(base::cat(what, ": ", here, " here, ", there, " in the receipt"));
}

/// Longest sequence that the receipt's request may have become.
std::int64_t longest(const Receipt& receipt) {
  return receipt.n_prompt_tokens + receipt.request.config.max_new_tokens.value_or(0);
}

std::vector<std::string> differences(const AnswerOrigin& here, const Receipt& receipt) {
  const AnswerOrigin& there = receipt.origin;
  std::vector<std::string> notes;
  note(notes, "model: SHA-256 of its files", here.sha256, there.sha256);
  note(notes, "openllm", here.version, there.version);
  note(notes, "backend", here.backend, there.backend);
  note(notes, "device", here.device, there.device);
  note(notes, "isa", here.isa, there.isa);
  note(notes, "fast_activations", here.fast_activations, there.fast_activations);
  note(notes, "kv_dtype", here.kv_dtype, there.kv_dtype);
  note(notes, "kv_block_size", here.kv_block_size, there.kv_block_size);
  // A context that nothing came near to makes no difference.
  if (longest(receipt) > std::min(here.max_model_len, there.max_model_len))
    note(notes, "max_model_len", here.max_model_len, there.max_model_len);
  return notes;
}

/// Index of the first token that differs; the length of the shorter list when that begins the
/// other; -1 when they are equal.
std::int64_t first_difference(const std::vector<std::int32_t>& a,
                              const std::vector<std::int32_t>& b) {
  const auto [at_a, at_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return at_a == a.end() && at_b == b.end() ? -1 : at_a - a.begin();
}

bool is_same(const CompletionChunk& made, const ReceiptChoice& wanted) {
  return sha256_of(made.token_ids) == wanted.token_ids_sha256 &&
         sha256_of(made.text) == wanted.text_sha256 && made.finish_reason &&
         to_string(*made.finish_reason) == wanted.finish_reason;
}

void compare(const Receipt& receipt, ReplayResult& result) {
  const std::vector<CompletionChunk>& made = result.output.outputs;
  for (std::size_t i = 0; i < receipt.choices.size(); ++i) {
    const ReceiptChoice& wanted = receipt.choices[i];
    if (i < made.size() && is_same(made[i], wanted)) continue;
    result.choice = static_cast<int>(i);
    if (i < made.size() && wanted.token_ids)
      result.first_different_token = first_difference(made[i].token_ids, *wanted.token_ids);
    return;
  }
  result.same = made.size() == receipt.choices.size();
}

void take_prompt(Receipt& receipt, const std::vector<std::int32_t>* prompt) {
  if (prompt == nullptr && !receipt.has_prompt) {
    base::fail_at(ErrorCode::kInvalidArgument, "receipt",
                  "has no tokens, only their hash (give the prompt's token ids)");
  }
  if (prompt == nullptr) return;
  if (sha256_of(*prompt) != receipt.prompt_sha256) {
    base::fail_at(ErrorCode::kInvalidArgument, "prompt_token_ids",
                  "are not the receipt's prompt (expected ", receipt.n_prompt_tokens,
                  " tokens with SHA-256 ", receipt.prompt_sha256, ", got ", prompt->size(), ")");
  }
  receipt.request.prompt_ids = *prompt;
}

GenerationOutput make_again(Instance& instance, ResolvedRequest request) {
  request.options.output_kind = OutputKind::kFinalOnly;
  const std::shared_ptr<RequestReader> reader = instance.start_resolved(std::move(request));
  LastOutput last;
  while (const GenerationOutput* output = reader->next()) last.add(*output);
  return last.take();
}

}  // namespace

ReplayResult replay(Instance& instance, const std::string& text,
                    const std::vector<std::int32_t>* prompt) {
  Receipt receipt = parse_receipt(text);
  if (!receipt.why_not_replayable.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "receipt", "cannot be replayed (",
                  receipt.why_not_replayable, ")");
  }
  take_prompt(receipt, prompt);
  ReplayResult result;
  result.notes = differences(instance.origin(), receipt);
  try {
    result.output = make_again(instance, receipt.request);
  } catch (const Error& error) {
    // With another model or shorter context that is the answer: it cannot be the same.
    if (result.notes.empty()) throw;
    result.notes.push_back(base::cat("the answer cannot be made here: ", error.what()));
    return result;
  }
  compare(receipt, result);
  return result;
}

}  // namespace openllm::llm
