#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "openllm/chat.h"
#include "openllm/embed.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/receipt.h"
#include "openllm/stats.h"
#include "openllm/store.h"
#include "openllm/stream.h"
#include "openllm/task.h"
#include "openllm/text_decoder.h"

namespace openllm {

/// What a loaded model is.
struct ModelInfo {
  std::string id{};            ///< As the OpenAI API shows it.
  std::string path{};          ///< Folder or file it was loaded from.
  std::string architecture{};  ///< Family, for example "llama".
  std::string format{};  ///< "gguf", "safetensors", "pytorch", "flax", "tensorflow" or "none".
  std::string weight_types{};  ///< For example "Q4_1 (210), F32 (61), Q8_0 (1)".
  std::int64_t n_parameters = 0;
  std::int64_t n_embedding_parameters =
      0;  ///< Of these, in matrices with a row per token id: embedding, output.
  std::int64_t weight_bytes = 0;  ///< Bytes of the weights in the file.
  int n_layers = 0;
  int vocab_size = 0;
  /// Longest sequence of this LLM, in tokens: the model's limit, LoadOptions::max_model_len and,
  /// once loaded, what the KV cache holds.
  int max_context = 0;
  /// The same without regard to the KV cache: more than `max_context` when memory is short.
  int wanted_context = 0;
  bool has_tokenizer = false;
  bool has_chat_template = false;
  ModelTask task = ModelTask::kGenerate;
  int embedding_size = 0;  ///< Numbers of a hidden state; 0 where the backend gives none.
  int n_labels = 0;        ///< Classes of a classifier; else 0.
  /// Prompts go to an encoder, and answers are texts of their own (T5, BART): "seq2seq".
  bool is_encoder_decoder = false;
  /// Parts in the files that are not run, by their names there: towers of images and sounds, layers
  /// that predict further tokens.
  std::vector<std::string> left_out{};
};

/// Which backend and device run the model, and why they were chosen.
struct BackendInfo {
  std::string name{};    ///< "native".
  std::string device{};  ///< "cpu", "reference".
  std::string isa{};  ///< Instruction set of the cpu device's kernels, for example "avx512_bf16".
  std::string reason{};  ///< One sentence.
  /// LoadOptions::draft_model by its public name, where one guesses ahead.
  std::string draft_model{};
};

/// How a text prompt is tokenized.
struct TokenizeOptions {
  bool add_special_tokens = true;  ///< Add what the tokenizer's template adds (BOS ...).
  bool parse_special = true;       ///< Special tokens written in the text become their ids.
};

class Runner;
class Tokenizer;

/// A model, ready to answer. A cheap handle: copies share one engine, which ends with the last of
/// them. Thread safety: every method may be called from any thread; requests are batched together.
/// Errors: every method throws `openllm::Error` only; kInvalidArgument after the LLM was moved
/// from, kUnsupported in a process forked after its first use (which has none of its threads).
class OPENLLM_API LLM {
 public:
  /// `model`: a path, if it begins with '.', '/' or '~' or ends in ".gguf"; else a name or tag in
  /// the model store; else a model in the Hugging Face cache; else a folder with config.json or a
  /// .gguf file; else the name of a family, or of a model of the hub, which is fetched
  /// (openllm/hub.h). It may be empty if `options.model_tag` is given. Resolves it, reads its
  /// configuration and chooses the backend; weights and tokenizer load at first use (or now, with
  /// `options.eager`). A model that no backend can run, or without weights, still has its
  /// configuration, tokenizer and chat template: the refusal is thrown by what needs a backend.
  ///
  /// Throws kInvalidArgument for options that nothing could be loaded with, kNotFound for a backend
  /// that does not exist.
  explicit LLM(const std::string& model, const LoadOptions& options = {});
  /// The same; kInvalidArgument for a null pointer.
  explicit LLM(const char* model, const LoadOptions& options = {});
  /// As the constructor.
  [[deprecated("write openllm::LLM(model)")]] static LLM from_pretrained(
      const std::string& model, const LoadOptions& options = {}) {
    return LLM(model, options);
  }
  ~LLM();
  LLM(const LLM&);
  LLM& operator=(const LLM&);
  LLM(LLM&&) noexcept;
  LLM& operator=(LLM&&) noexcept;

  /// Answers and returns the last output.
  GenerationOutput generate(const Prompt& prompt, const GenerateOptions& options = {}) const;
  /// Answers bit by bit: `for (const auto& out : llm.generate_iterator("Once")) std::cout <<
  /// out.outputs[0].delta;`
  GenerationStream generate_iterator(const Prompt& prompt,
                                     const GenerateOptions& options = {}) const;
  /// `generate` for coroutines; `.get()` blocks.
  Task<GenerationOutput> async_generate(Prompt prompt, GenerateOptions options = {}) const;
  /// `generate_iterator` for coroutines.
  AsyncGenerationStream async_generate_iterator(const Prompt& prompt,
                                                const GenerateOptions& options = {}) const;

  /// Applies the chat template and answers until the end of sequence or of the context (unless
  /// `options.max_new_tokens` is set). Passing messages as the prompt of the verbs above does the
  /// same.
  GenerationOutput chat(const std::vector<Message>& messages,
                        const GenerateOptions& options = {}) const;
  Task<GenerationOutput> async_chat(std::vector<Message> messages,
                                    GenerateOptions options = {}) const;

  /// The vector of each input: its hidden states, pooled and normalised as the model's
  /// sentence-transformers files say, or `options`. Texts get the tokens that the tokenizer's
  /// template adds. All inputs are computed together with what else runs.
  ///
  /// Throws kUnsupported for a classifier and where the backend gives no hidden states;
  /// kInvalidArgument, kBusy and the like as `generate`.
  EmbedOutput embed(const std::vector<Prompt>& inputs, const EmbedOptions& options = {}) const;
  /// `embed` for coroutines; `.get()` blocks.
  Task<EmbedOutput> async_embed(std::vector<Prompt> inputs, EmbedOptions options = {}) const;
  /// How well each document answers the query: of a cross-encoder its score for the pair, of any
  /// other model the cosine of the two embeddings. Errors as `embed`; kUnsupported for a
  /// classifier of several classes.
  ScoreOutput score(const std::string& query, const std::vector<std::string>& documents,
                    const EmbedOptions& options = {}) const;
  Task<ScoreOutput> async_score(std::string query, std::vector<std::string> documents,
                                EmbedOptions options = {}) const;
  /// The documents by `score`, best first; the earlier one first among equals. `top_n` 0: all.
  RerankOutput rerank(const std::string& query, const std::vector<std::string>& documents,
                      int top_n = 0, const EmbedOptions& options = {}) const;
  Task<RerankOutput> async_rerank(std::string query, std::vector<std::string> documents,
                                  int top_n = 0, EmbedOptions options = {}) const;

  /// Makes the answer of a receipt (GenerateOptions::receipt) again and compares. Neither the
  /// configuration nor LoadOptions::sanitize changes it: the receipt says all.
  ///
  /// Throws kInvalidArgument for what is no receipt, for one that cannot be replayed and says so,
  /// and for one without the prompt's tokens; kCorruptData for one that was changed.
  ReplayResult replay(const std::string& receipt) const;
  /// The same for a receipt without tokens. Throws kInvalidArgument for another prompt.
  ReplayResult replay(const std::string& receipt,
                      const std::vector<std::int32_t>& prompt_token_ids) const;

  /// Loads weights and tokenizer now. Later calls return at once.
  void load() const;
  bool is_loaded() const noexcept;
  /// Ends what runs with kUnavailable and frees weights, KV cache and tokenizer. The next use loads
  /// them again.
  void unload() const;

  /// What became of the copy of the packed weights that loading takes them from, or makes for the
  /// next time (openllm/packed_copies.h): a sentence. Empty while the model is not loaded, and
  /// where the backend has none.
  std::string packed_copy() const;
  /// Whether it is being written, which goes on while no request runs.
  bool is_writing_packed_copy() const;
  /// Writes it to the end now. Returns when it is there, or will not be: `packed_copy` says which.
  void finish_packed_copy(const std::stop_token& stop = {}) const;

  /// Ends all requests of this `GenerateOptions::request_id` with FinishReason::kCancelled. Returns
  /// how many there were.
  std::size_t cancel(const std::string& request_id) const;

  /// The model's public name. Empty after the LLM was moved from.
  const std::string& id() const noexcept;
  const std::string& model_id() const noexcept { return id(); }
  /// `<backend>-<name>:<version>`, as the model store names it.
  std::string tag() const;
  /// The version in the tag; "local" for a path without LoadOptions::model_version.
  std::string revision() const;
  /// Loaded from a path, not from the store.
  bool is_local() const;
  /// Its entry in the model store; nothing for a path.
  std::optional<StoredModel> stored_model() const;
  /// JSON with `model_id`, `model_ids` (as a JSON text) and `configuration` (the defaults of
  /// requests, as a JSON text).
  std::string identifying_params() const;
  /// The id as part of other names: of a path its last part, else with "--" for "/", and "-" for
  /// "_". Empty after the LLM was moved from.
  std::string llm_type() const;
  ModelInfo info() const;
  /// Loads the model, as `device` does: only then it is known what runs it. `ask_backends`
  /// (openllm/backends.h) tells the choice without that.
  BackendInfo backend() const;
  /// Name of the device that the model runs on.
  std::string device() const { return backend().device; }
  /// Defaults of requests, put together from all layers: every field is set, but eos_token_ids may
  /// be empty.
  LLMConfig config() const;
  EngineStats stats() const;
  /// LoRA adapters that requests can name, by name; none while the model is not loaded. Servers of
  /// the backend "vllm" are asked, once a second at most, or never without `may_ask`; throws what
  /// that brings.
  std::vector<AdapterOptions> adapters(bool may_ask = true) const;
  /// Makes a LoRA adapter ready for requests, which run on meanwhile; loads the model first if need
  /// be. One of that name from the same place stays. Throws kNotFound for one that is not there,
  /// kInvalidArgument for a name that is taken and for an adapter that does not fit the model (the
  /// tensor and both shapes are named), kUnsupported for what it asks beyond LoRA.
  void load_adapter(const AdapterOptions& adapter) const;
  /// Requests that use it go on; its memory is given back when the last one has ended. kNotFound
  /// for a name that none has.
  void unload_adapter(const std::string& name) const;
  /// A handle for Services (openllm/runner.h).
  Runner runner() const;
  [[deprecated("write runner()")]] Runner to_runner() const;
  /// A handle for text and ids alone (openllm/tokenizer.h).
  Tokenizer tokenizer() const;

  std::vector<std::int32_t> tokenize(std::string_view text,
                                     const TokenizeOptions& options = {}) const;
  /// The same; kInvalidArgument for a null pointer.
  std::vector<std::int32_t> tokenize(const char* text, const TokenizeOptions& options = {}) const;
  /// This and `token_text` throw kInvalidArgument for an id that the vocabulary does not have.
  std::string detokenize(const std::vector<std::int32_t>& token_ids,
                         bool skip_special_tokens = true) const;
  /// `detokenize` token by token. `continues_text`: a text comes before, so that a space in front
  /// of the first word stays.
  TextDecoder text_decoder(bool skip_special_tokens = true, bool continues_text = false) const;
  /// The bytes a token stands for, as text (not necessarily valid UTF-8 on its own).
  std::string token_text(std::int32_t token_id) const;
  /// Tokens that end an answer, unless the request says otherwise: those of `config`, else the
  /// tokenizer's.
  std::vector<std::int32_t> eos_token_ids() const;
  /// The prompt the chat template makes of the messages.
  std::string apply_chat_template(const std::vector<Message>& messages,
                                  const GenerateOptions& options = {}) const;
  /// Logits of every position: positions x vocabulary, row-major. Of an encoder-decoder model,
  /// whose encoder reads the ids, those of the answer's first position alone.
  std::vector<float> logits(const std::vector<std::int32_t>& token_ids) const;

 private:
  class Impl;
  Impl& impl() const;
  std::shared_ptr<Impl> impl_;
};

}  // namespace openllm
