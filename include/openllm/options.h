#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "openllm/co_await_safe.h"
#include "openllm/error.h"

namespace openllm {

/// Defaults of a model's requests, as a patch: a field that is unset leaves the layer below as it
/// is.
///
/// Each layer overrides those before it, field by field:
///   1. the numbers in parentheses below,
///   2. those of the model's family, if it has any,
///   3. the model's files: generation_config.json; in GGUF the metadata `general.sampling.*`,
///   4. the environment: OPENLLM_CONFIG (a JSON object), then OPENLLM_GENERATION_<FIELD>, then
///      OPENLLM_SAMPLING_<FIELD>; a field that does not exist is an error,
///   5. LoadOptions::config,
///   6. the request (GenerateOptions).
/// docs/fields.md lists every field with its range.
struct LLMConfig {
  /// Tokens to generate at most (20); -1: to the end of the context, where conversations go anyway
  /// unless the request has a limit.
  std::optional<int> max_new_tokens{};
  /// No end-of-sequence or stop token before so many tokens (0).
  std::optional<int> min_new_tokens{};
  /// Divides the logits before the choice; <= 1e-5 means greedy (1).
  std::optional<float> temperature{};
  /// Keep the k most likely tokens; 0 or less: all (50).
  std::optional<int> top_k{};
  /// Keep the smallest set of tokens with this probability mass; < 1e-8 means greedy (1).
  std::optional<float> top_p{};
  /// Keep tokens with at least min_p times the top probability (0).
  std::optional<float> min_p{};
  /// Over prompt and output, as in CTRL; 1: off (1).
  std::optional<float> repetition_penalty{};
  /// Subtracted once from each token seen in the output (0).
  std::optional<float> presence_penalty{};
  /// Subtracted per occurrence in the output (0).
  std::optional<float> frequency_penalty{};
  /// Tokens that end an answer. Empty: unset, and then the model's own.
  std::vector<std::int32_t> eos_token_ids{};
};

/// Selects the text that each output of a stream carries.
enum class OutputKind {
  kCumulative,  ///< Everything so far; `delta` has the new part.
  kDelta,       ///< Only the new part of `text`, `token_ids` and `logprobs`.
  kFinalOnly,   ///< One output, at the end.
};

/// Runs a callable somewhere; used to resume coroutines.
using Executor = std::function<void(std::function<void()>)>;

/// One request. Unset optionals take the value of LLM::config().
struct GenerateOptions {
  // As in LLMConfig.
  std::optional<int> max_new_tokens{};
  std::optional<int> min_new_tokens{};
  std::optional<float> temperature{};
  std::optional<int> top_k{};
  std::optional<float> top_p{};
  std::optional<float> min_p{};
  std::optional<float> repetition_penalty{};
  std::optional<float> presence_penalty{};
  std::optional<float> frequency_penalty{};

  /// Added to the logits of these tokens before anything else.
  CoAwaitSafe<std::map<std::int32_t, float>> logit_bias{};
  /// Seed of the random choices: equal seed, prompt and options give equal bytes, whatever else
  /// runs. Unset: a random one.
  std::optional<std::uint64_t> seed{};
  /// Number of choices, sampled independently (choice index is part of the random key).
  int n = 1;
  /// Texts that end the answer; not part of it unless `include_stop_in_output`.
  CoAwaitSafe<std::vector<std::string>> stop{};
  /// Tokens that end the answer, besides the model's end-of-sequence tokens.
  CoAwaitSafe<std::vector<std::int32_t>> stop_token_ids{};
  /// Keep the stop text in `text`.
  bool include_stop_in_output = false;
  /// Do not end at end-of-sequence tokens.
  bool ignore_eos = false;
  /// Also return the logprobs of the k most likely tokens per position; 0: the chosen token only.
  std::optional<int> logprobs{};
  /// The same for the prompt's tokens.
  std::optional<int> prompt_logprobs{};
  /// Keep the last tokens of a prompt that is longer than the context, instead of failing.
  bool truncate_prompt = false;
  /// Put the tokenizer's beginning-of-sequence and other template tokens around a text prompt.
  bool add_special_tokens = true;
  /// Leave special tokens out of `text`.
  bool skip_special_tokens = true;
  /// Content of each output of a stream.
  OutputKind output_kind = OutputKind::kCumulative;
  /// Name of the request in its outputs; empty: a generated one.
  CoAwaitSafe<std::string> request_id{};
  /// Order among requests when not all can run: lower runs first.
  int priority = 0;
  /// Time after which the request ends with FinishReason::kDeadline.
  std::optional<std::chrono::milliseconds> timeout{};
  /// On whose behalf: requests are served in turn by tenant, so that many of one do not delay those
  /// of another, and tenants share no cached prefix. Empty is a tenant like any other.
  CoAwaitSafe<std::string> tenant{};
  /// Calls of one tenant with the same group, say the prompts of a batch, count as one request when
  /// the engine shares its time out, and are taken or refused as one by `max_wait`. Empty: the call
  /// is a group of its own.
  CoAwaitSafe<std::string> group{};
  /// Fail with kBusy instead of waiting longer than this for the first step, judged by what the
  /// engine has measured. Error::retry_after tells when to come again.
  std::optional<std::chrono::milliseconds> max_wait{};
  /// Requests share cached prefixes only with those of the same salt.
  CoAwaitSafe<std::string> cache_salt{};
  /// Cancels the request when a stop is requested.
  CoAwaitSafe<std::stop_token> stop_token{};
  /// Resumes coroutines that wait for this request; called on a thread of the library. Empty, or if
  /// it throws: they resume on threads of the library, never the engine's. These are several
  /// (docs/cpp.md), so coroutines of different requests may run at the same time.
  CoAwaitSafe<Executor> executor{};
  /// Mounted LoRA adapter to use; empty: none. No adapter can be mounted yet: every name is
  /// kNotFound.
  CoAwaitSafe<std::string> adapter_name{};
  /// For messages: template variables beyond the standard ones, as a JSON object.
  CoAwaitSafe<std::string> chat_template_json{};
  /// For messages: the tool definitions as a JSON array.
  CoAwaitSafe<std::string> tools_json{};
  /// For messages: end the prompt with the beginning of the assistant's turn.
  bool add_generation_prompt = true;
  /// For messages: end the prompt inside the last message, so that the answer goes on with it,
  /// instead of closing that message. Needs add_generation_prompt = false.
  bool continue_final_message = false;
  /// For messages: special tokens written in them ("<|im_end|>") become those tokens. By default
  /// they are text, so that no message can pass for the prompt's structure.
  bool special_tokens_in_messages = false;
};

/// Reports the progress of loading; `fraction` is in [0, 1]. Runs within `load`, so what loads or
/// unloads the same LLM throws kInvalidArgument there. An exception from it ends loading, which may
/// be tried again, with an Error (kCancelled, where "progress") that has it nested
/// (std::rethrow_if_nested).
using ProgressCallback = std::function<void(const std::string& stage, double fraction)>;

/// How a model is loaded.
struct LoadOptions {
  /// "native" (own engine), or empty: environment OPENLLM_BACKEND, then the best one available.
  std::string backend{};
  /// "cpu", "reference", or empty: the best one available.
  std::string device{};
  /// Threads of the cpu device; 0: one per available CPU.
  int n_threads = 0;
  /// Round activations as other engines do: to int8 where they meet quantised weights, to BF16
  /// where they meet BF16 weights and the CPU multiplies BF16. Prompts and large batches compute up
  /// to 1.7 times as fast, but answers move away from the model's own (docs/performance.md has the
  /// numbers).
  bool fast_activations = false;
  /// Longest sequence; 0: the model's own limit (bounded by `kv_cache_bytes`).
  int max_model_len = 0;
  /// Most tokens of one step; longer prompts are computed in chunks.
  int max_step_tokens = 512;
  /// Most sequences of one step.
  int max_sequences = 64;
  /// Requests that may wait; further ones fail with kBusy.
  int max_queue = 4096;
  /// Memory for the KV cache; 0: chosen from the model and the machine.
  std::int64_t kv_cache_bytes = 0;
  /// "f32", "f16", "int8" (with a scale for each 32 entries; docs/performance.md says what it
  /// costs), or "auto": f16 beside quantised weights, but not on the reference device.
  std::string kv_dtype = "auto";
  /// Tokens per KV cache block.
  int kv_block_size = 32;
  /// Reuse cached prefixes between requests.
  bool prefix_caching = true;
  /// Load in the constructor instead of at first use.
  bool eager = false;
  /// Replaces the model's chat template (Jinja source).
  std::string chat_template{};
  /// Replaces the name of the pre-tokenizer in a GGUF file (`tokenizer.ggml.pre`), or stands in for
  /// one that is missing: "llama-bpe", "qwen2", "gpt-2", "default", ...
  std::string tokenizer_pre{};
  /// Overrides the model's and the environment's defaults of requests, field by field.
  LLMConfig config{};
  /// Called while the model loads.
  ProgressCallback progress{};
};

}  // namespace openllm
