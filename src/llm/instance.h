#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llm/embed_input.h"
#include "llm/local_model.h"
#include "llm/mailbox.h"
#include "llm/output_sink.h"
#include "llm/receipt.h"
#include "llm/request_names.h"
#include "llm/request_reader.h"
#include "llm/runtime.h"
#include "openllm/llm.h"

namespace openllm::llm {

/// What all copies of an LLM share: the model on disk, the running engine once it is needed, and
/// the way of a request from the one to the other. Thread safety: every method from any thread.
class Instance : public std::enable_shared_from_this<Instance> {
 public:
  Instance(const std::string& model, const LoadOptions& options);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  LocalModel& model() noexcept { return model_; }
  Runtime& runtime() noexcept { return runtime_; }

  /// As Runtime::is_of_this_process.
  bool is_of_this_process() const noexcept { return runtime_.is_of_this_process(); }

  /// The loaded backend; loads it first if need be.
  std::shared_ptr<backend::Backend> load();

  /// Prepares and submits on the calling thread; throws what is wrong with the request.
  std::shared_ptr<RequestReader> start(const Prompt& prompt, const GenerateOptions& options);
  /// Prepares and submits on a thread of the library; errors come out of RequestReader::next.
  std::shared_ptr<RequestReader> start_async(Prompt prompt, GenerateOptions options);
  /// The request of a receipt. Its fields are used as they are, whatever this model's defaults.
  std::shared_ptr<RequestReader> start_resolved(ResolvedRequest request);
  /// An input of an embedding, or a pair for a classifier: prepared and submitted on a thread of
  /// the library. Its reader has the pooled vector with the end.
  std::shared_ptr<RequestReader> start_hidden(EmbedInput input, std::optional<Pooling> pooling,
                                              GenerateOptions options);
  /// Throws kUnsupported for a model that is not for `task`: kGenerate means text.
  void require_task(ModelTask task);

  /// What receipts say of this model as it is loaded. The first call may read the model's files.
  AnswerOrigin origin();
  /// As LLM::unload.
  void unload();
  /// Logits of every position of `token_ids`.
  std::vector<float> logits(const std::vector<std::int32_t>& token_ids);

  /// As LLM::cancel.
  std::size_t cancel(const std::string& request_id) { return names_.cancel(request_id); }

  /// Throws kInvalidArgument for an id that neither the tokenizer nor the model has.
  void require_token(const char* where, std::int32_t id);

  std::string tag() const;
  ModelInfo info();
  BackendInfo backend_info();
  EngineStats stats() const;
  std::vector<AdapterOptions> adapters(bool may_ask) const;
  void load_adapter(const AdapterOptions& adapter);
  void unload_adapter(const std::string& name);

 private:
  struct Started {
    std::shared_ptr<RequestReader> request;
    std::shared_ptr<Mailbox> mailbox;
    std::shared_ptr<OutputSink> sink;
    std::string engine_id;
    LLMConfig config;  ///< Defaults below the request.
    LLMConfig merged;  ///< These with the request over them.
    bool prompt_logits = false;
    bool is_resolved = false;  ///< The request of a receipt: `config` is not the model's.
  };
  Started make_request(const GenerateOptions& options, const LLMConfig& config);
  /// Template, tokenizer, defaults, submit.
  void submit(const Started& started, const Prompt& prompt, const GenerateOptions& options);
  void submit_hidden(const Started& started, EmbedInput input, std::optional<Pooling> pooling,
                     const GenerateOptions& options);
  /// What a request has, by its own wish or by default; empty: none.
  const std::string& adapter_name_of(const GenerateOptions& options) const;
  /// Gives the request the adapter that it wants.
  void use_adapter(const GenerateOptions& options, backend::Backend& backend,
                   engine::Request& request) const;
  void hand_over(const Started& started, const std::shared_ptr<backend::Backend>& backend,
                 engine::Request request);
  void post_to_front(const Started& started, std::size_t n_bytes, std::function<void()> work);
  /// `config`: as the request uses it.
  base::Json start_receipt(const backend::Backend& backend, const GenerateOptions& options,
                           LLMConfig config, const engine::Request& request);
  AnswerOrigin origin_of(const backend::Backend& backend);
  std::string model_sha256();
  Executor resume_executor(const GenerateOptions& options);
  const ModelInfo& static_info();

  LocalModel model_;
  Runtime runtime_;
  RequestNames names_;
  std::atomic<std::uint64_t> next_request_{0};
  base::Mutex sha256_mutex_;  // held while the files are read
  std::optional<std::string> sha256_ GUARDED_BY(sha256_mutex_);
  std::atomic<bool> knows_sha256_{false};
  base::Mutex info_mutex_;
  /// All but what depends on tokenizer and backend.
  std::optional<ModelInfo> info_ GUARDED_BY(info_mutex_);
};

}  // namespace openllm::llm
