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

#include "openllm/chat.h"
#include "openllm/co_await_safe.h"
#include "openllm/error.h"
#include "openllm/llm_config.h"

namespace openllm {

/// Selects the text that each output of a stream carries.
enum class OutputKind {
  kCumulative,  ///< Everything so far; `delta` has the new part.
  kDelta,       ///< Only the new part of `text`, `token_ids` and `logprobs`.
  kFinalOnly,   ///< One output, at the end.
};

/// Runs a callable somewhere; used to resume coroutines.
using Executor = std::function<void(std::function<void()>)>;

/// One request. Unset optionals and empty lists take the value of LLM::config(), but for those that
/// `cleared` names.
struct OPENLLM_API GenerateOptions {
  // As in LLMConfig.
  std::optional<int> max_new_tokens{};
  std::optional<int> min_new_tokens{};
  std::optional<int> max_length{};  ///< Instead of max_new_tokens, not beside it.
  std::optional<int> min_length{};  ///< Instead of min_new_tokens, not beside it.
  std::optional<float> temperature{};
  std::optional<int> top_k{};
  std::optional<float> top_p{};
  std::optional<float> min_p{};
  std::optional<float> typical_p{};
  std::optional<float> epsilon_cutoff{};
  std::optional<float> eta_cutoff{};
  std::optional<float> repetition_penalty{};
  std::optional<float> presence_penalty{};
  std::optional<float> frequency_penalty{};
  std::optional<int> no_repeat_ngram_size{};
  CoAwaitSafe<std::vector<std::vector<std::int32_t>>> bad_words_ids{};
  CoAwaitSafe<std::map<std::vector<std::int32_t>, float>> sequence_bias{};
  CoAwaitSafe<std::vector<std::int32_t>> suppress_tokens{};
  CoAwaitSafe<std::vector<std::int32_t>> begin_suppress_tokens{};
  std::optional<int> forced_bos_token_id{};
  CoAwaitSafe<std::vector<std::int32_t>> forced_eos_token_id{};
  std::optional<LengthDecay> exponential_decay_length_penalty{};
  CoAwaitSafe<std::vector<std::int32_t>> eos_token_ids{};
  std::optional<int> num_beams{};  ///< At least `n`. Above 1 not for streams.
  std::optional<int> num_beam_groups{};
  std::optional<float> diversity_penalty{};
  std::optional<float> length_penalty{};
  std::optional<EarlyStopping> early_stopping{};

  /// Texts that the answer does not have, each as its tokens, with and without a space before it
  /// (as in vLLM: another way to spell it in tokens is not seen).
  CoAwaitSafe<std::vector<std::string>> bad_words{};
  /// No other tokens come; empty: any.
  CoAwaitSafe<std::vector<std::int32_t>> allowed_token_ids{};
  /// Added to the logits of these tokens before anything else.
  CoAwaitSafe<std::map<std::int32_t, float>> logit_bias{};
  /// Seed of the random choices: equal seed, prompt and options give equal bytes, whatever else
  /// runs. kRandomSeed, or unset in every layer: a random one.
  std::optional<std::uint64_t> seed{};
  /// Number of choices (1), sampled independently (choice index is part of the random key).
  std::optional<int> n{};
  /// Makes so many choices and gives the `n` with the highest `cumulative_logprob`, best first;
  /// unset: `n`. Not for streams.
  std::optional<int> best_of{};
  /// Texts that end the answer; not part of it unless `include_stop_in_output`.
  CoAwaitSafe<std::vector<std::string>> stop{};
  /// Tokens that end the answer, besides the model's end-of-sequence tokens.
  CoAwaitSafe<std::vector<std::int32_t>> stop_token_ids{};
  /// Keep the stop text in `text` (false).
  std::optional<bool> include_stop_in_output{};
  /// Do not end at end-of-sequence tokens (false).
  std::optional<bool> ignore_eos{};
  /// Also return the logprobs of the k most likely tokens per position; 0: the chosen token only.
  std::optional<int> logprobs{};
  /// The same for the prompt's tokens.
  std::optional<int> prompt_logprobs{};
  /// Keep the last tokens of a prompt that is longer than the context, instead of failing (false).
  std::optional<bool> truncate_prompt{};
  /// Put the tokenizer's beginning-of-sequence and other template tokens around a text prompt.
  bool add_special_tokens = true;
  /// Leave special tokens out of `text` (true).
  std::optional<bool> skip_special_tokens{};
  /// Put the spaces that the tokenizer's decoder has between special tokens that follow each other
  /// (true); matters only where they are shown.
  std::optional<bool> spaces_between_special_tokens{};
  /// Take the spaces before punctuation and English contractions out of `text` (false), as
  /// transformers' clean_up_tokenization does (" ." becomes ".", " n't" "n't").
  std::optional<bool> clean_up_tokenization_spaces{};
  /// Outputs of a stream come with the first token, then with every so many (1), and at the end.
  std::optional<int> stream_interval{};
  /// Content of each output of a stream.
  OutputKind output_kind = OutputKind::kCumulative;
  /// The last output has a receipt: what the answer was made of, so that LLM::replay can make it
  /// again (openllm/receipt.h). The first one may wait for the hash of the model's files.
  bool receipt = false;
  /// The receipt has no tokens of prompt and answer, only their SHA-256. Needs `receipt`.
  bool receipt_hash_only = false;
  /// Name of the request in its outputs; empty: a generated one.
  CoAwaitSafe<std::string> request_id{};
  /// Order among requests when not all can run: lower runs first.
  int priority = 0;
  /// Time after which the request ends with FinishReason::kDeadline.
  std::optional<std::chrono::milliseconds> timeout{};
  /// On whose behalf: requests are served in turn by tenant, so that many of one do not delay those
  /// of another, and tenants share no cached prefix. Empty is a tenant like any other. One that has
  /// all places that a tenant may have gets kBusy where "tenant".
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
  /// Mounted LoRA adapter to use (LoadOptions::adapters, LLM::load_adapter, or one that a server of
  /// the backend "vllm" lists). Of the native backend also a sum of up to 16 with factors,
  /// "style*0.5+facts". Empty: LoadOptions::default_adapter; "none": none. A name that none has is
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

  /// As LLMConfig::cleared: fields that the request takes no value of LLM::config() for.
  CoAwaitSafe<std::vector<std::string>> cleared{};

  /// The request that asks for just this, whatever the model's defaults. Throws kUnsupported naming
  /// a field whose value cannot be honoured, kInvalidArgument for one that is out of its range.
  static GenerateOptions from(const GenerationConfig& config);
  static GenerateOptions from(const SamplingParams& params);
};

/// Reports the progress of loading; `fraction` is in [0, 1]. Runs within `load`, so what loads or
/// unloads the same LLM throws kInvalidArgument there. An exception from it ends loading, which may
/// be tried again, with an Error (kCancelled, where "progress") that has it nested
/// (std::rethrow_if_nested).
using ProgressCallback = std::function<void(const std::string& stage, double fraction)>;

/// How far a download from a hub has come.
struct PullProgress {
  std::string file{};        ///< The one that something came of.
  std::int64_t n_bytes = 0;  ///< Of all files, with those that were there.
  std::int64_t n_bytes_total = 0;
  std::int64_t n_bytes_fetched = 0;  ///< Of `n_bytes`, what came over the network in this call.
  bool is_waiting = false;  ///< Another process, or thread, fetches the file; then the rest comes.
};
/// Called by threads of a download, one at a time.
using PullCallback = std::function<void(const PullProgress&)>;

/// Changes or checks the prompt of every request before anything else sees it. Runs on the thread
/// that prepares the request, several at the same time. What it throws ends the request; if that is
/// no Error, as kInvalidArgument with it nested.
using PromptSanitizer = std::function<Prompt(Prompt prompt)>;

/// A LoRA adapter: a folder as PEFT writes it, a GGUF file, or the name of one on a hub; and the
/// name for requests ("default" if empty).
struct AdapterOptions {
  std::string id{};
  std::string name{};
};

/// Of the backend "vllm" (docs/backends.md).
struct VllmOptions {
  /// Servers that run, as "http://host:8000". Unless the backend is named, one that does not answer
  /// or does not have the model makes room for the next backend.
  std::vector<std::string> urls{};
  std::string executable{};  ///< Starts one where there are no `urls`; empty: "vllm" of PATH.
  std::vector<std::string> args{};  ///< Further arguments of it.
  std::string api_key{};  ///< Of the servers; for one that is started, empty: a random one.
  /// Time for a start, until it answers; unset: ten minutes.
  std::optional<std::chrono::seconds> startup_timeout{};
};

/// Of the backend "pt": Hugging Face transformers in a Python process (docs/backend-pt.md).
struct PtOptions {
  /// Interpreter with the packages torch and transformers; empty: OPENLLM_PYTHON, else "python3" of
  /// PATH.
  std::string python{};
  std::string device{};  ///< "cpu", "cuda", "cuda:1"; empty: cuda where PyTorch has it.
  /// For the process to start and to load the model (10 minutes).
  std::optional<std::chrono::seconds> startup_timeout{};
};

/// How a model is loaded. What is unset comes from the environment, where docs/configuration.md
/// has a variable for it.
struct LoadOptions {
  /// The model's public name: LLM::id, the name in its tag and on servers. Empty: its name in the
  /// store, or the last part of its path.
  std::string model_name{};
  /// Version of a model in the store, as after the colon of its name; one that stands there too
  /// must be the same. Of a path, the version in its tag. Empty: the newest; "local".
  std::string model_version{};
  /// Exactly the model in the store that has this tag (LLM::tag, whatever the backend before the
  /// first dash); the name may be empty then.
  std::string model_tag{};
  /// "vllm", "native" (own engine), "pt" (transformers in a Python process), or empty: environment
  /// OPENLLM_BACKEND, then the best one that can run the model (docs/backends.md).
  std::string backend{};
  /// Where the model runs, all places together as one: "native" and "pt" are backends here, an
  /// address ("http://host:8000") is a vLLM, or another server of ours, that has the model.
  /// Requests go to the place with the least to do, and go on elsewhere when it is lost
  /// (docs/backends.md). In place of `backend`; VllmOptions::api_key is the key of all servers.
  /// At least one has to load; servers that are away are taken in when they come.
  std::vector<std::string> places{};
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
  /// Choices that may wait while all places are taken; further requests fail with kBusy.
  int max_queue = 4096;
  /// Memory for the KV cache; 0: chosen from the model and the machine.
  std::int64_t kv_cache_bytes = 0;
  /// "f32", "f16", "int16" (with a scale for each head of a token), "int8" (with one for each 32
  /// entries; docs/performance.md says what it costs), or "auto": int16 beside quantised weights,
  /// but not on the reference device.
  std::string kv_dtype = "auto";
  /// Tokens per KV cache block.
  int kv_block_size = 32;
  /// Reuse cached prefixes between requests.
  bool prefix_caching = true;
  /// Most tokens that a step guesses ahead of an answer from what its text repeats, where rows cost
  /// little more than none; 0: none. Answers are the same to the bit. By vLLM where it is started.
  int max_draft_tokens = 7;
  /// A smaller model of the same vocabulary that guesses where the text repeats nothing: any
  /// reference that a model has (name, folder, file). By the native backend, for models that
  /// generate text token by token; it is loaded and unloaded with the model. Answers are the same
  /// to the bit. Empty: none.
  std::string draft_model{};
  /// Load in the constructor instead of at first use.
  bool eager = false;
  /// Replaces the model's chat templates: Jinja source, or, where it has no "{", the name of one of
  /// the model's own that is then used for all messages ("default", "tool_use", ...).
  std::string chat_template{};
  /// Replaces the name of the pre-tokenizer in a GGUF file (`tokenizer.ggml.pre`), or stands in for
  /// one that is missing: "llama-bpe", "qwen2", "gpt-2", "default", ...
  std::string tokenizer_pre{};
  /// Overrides the model's and the environment's defaults of requests, field by field.
  LLMConfig config{};
  /// Which files to load where a folder has several forms of the weights: "auto" (also if empty),
  /// "safetensors", "gguf", "legacy" (files of torch.save, read without running what is in them),
  /// "flax" or "tensorflow".
  std::string serialisation{};
  /// Run code that comes with the model (false). A vLLM that is started and "pt" do; else true is
  /// kUnsupported.
  std::optional<bool> trust_remote_code{};
  /// Another name of `model_version`; where both are given they must be the same.
  std::string revision{};
  /// Type that weights which are not quantised are rounded to before they are used: "f32", "f16",
  /// "bf16" (or float, float32, half, float16, bfloat16), or "auto" (also if empty): as they are.
  /// For a model with quantised weights anything but "auto" is kInvalidArgument.
  std::string dtype{};
  /// Quantises the matrices while loading, whatever type they have: "q8" (also int8: 8.5 bits a
  /// weight), "q4" (int4: 5 bits; embeddings and head as q8) or "fp8" (e4m3, a factor for each 32
  /// weights: 9 bits). By the backend "vllm" its --quantization, where it is started and named.
  /// Others are kUnsupported.
  std::string quantize{};
  /// Adapters to mount when the model loads, by the backends "native" and "vllm".
  std::vector<AdapterOptions> adapters{};
  /// The adapter of requests that name none (as GenerateOptions::adapter_name); empty: none.
  std::string default_adapter{};
  /// Most adapters that the native backend keeps in memory; 0: all. Beyond it those that no request
  /// uses make room, the least recently used first, and are read again when a request names them.
  int max_adapters = 0;
  /// Use no network: a model that is not on this machine is kNotFound. HF_HUB_OFFLINE says the
  /// same.
  bool offline = false;
  /// Fetch a model that is not on this machine from the hub (openllm/hub.h), in the constructor of
  /// LLM; `progress` is told. False: it is kNotFound.
  bool ensure_available = true;
  /// Ask the hub what a branch is now even if this machine has a commit of it, and fetch that.
  /// kInvalidArgument for what no hub has (a path, a model in the store, a tag) and beside
  /// `offline`; kUnavailable when no hub can be reached.
  bool refresh = false;
  /// Told of bytes while a model is fetched, in place of `progress`.
  PullCallback pull_progress{};
  /// Ends fetching with kCancelled. What came stays, and the next time goes on with it.
  std::stop_token stop_token{};
  /// Share of an accelerator's memory, and number of accelerators: of the backend "vllm" alone, for
  /// others kUnsupported.
  std::optional<float> gpu_memory_utilization{};
  int tensor_parallel = 1;
  /// Of a backend that this version does not have: whatever is set here is kUnsupported.
  VllmOptions vllm{};
  PtOptions pt{};  ///< For `backend` "pt"; with another one, whatever is set here is kUnsupported.
  /// For a model whose files are not here but at servers (VllmOptions::urls): folder, file or name
  /// of a model or tokenizer that is here, whose tokenizer, chat templates and defaults of requests
  /// it has. The model's name is then what the servers call it. Empty: the model is looked for.
  std::string tokenizer{};
  /// Applied to the prompt of every request.
  PromptSanitizer sanitize{};
  /// Called while the model loads.
  ProgressCallback progress{};
};

}  // namespace openllm
