#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/worker.h"
#include "chat/template.h"
#include "format/checkpoint.h"
#include "llm/model_files.h"
#include "llm/request.h"
#include "openllm/llm.h"

namespace openllm::llm {

/// What all copies of an LLM share: the files, and once they are needed the tokenizer, the template
/// and the engine. Thread safety: every method from any thread.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const std::string& model, const LoadOptions& options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// False in a process that was forked from the one that loaded the model: it has none of the
  /// threads, and locks may be held by them for ever. Nothing may be destroyed there.
  bool is_of_this_process() const noexcept;
  /// Throws kUnsupported there. Otherwise threads may be started: the Core belongs to this process.
  void require_this_process();

  /// Loads weights and tokenizer, once. A failed attempt can be repeated.
  void load();
  bool is_loaded() const noexcept { return loaded_.load(std::memory_order_acquire); }

  /// Prepares and submits on the calling thread; throws what is wrong with the request.
  std::shared_ptr<Request> start(const Prompt& prompt, const GenerateOptions& options);
  /// Prepares and submits on a thread of the library; errors come out of Request::next.
  std::shared_ptr<Request> start_async(Prompt prompt, GenerateOptions options);
  /// Logits of every position of `token_ids`.
  std::vector<float> logits(const std::vector<std::int32_t>& token_ids);

  /// Throws kUnsupported when the model has no tokenizer.
  std::shared_ptr<const tokenizer::Tokenizer> require_tokenizer();
  std::string render(const std::vector<Message>& messages, const GenerateOptions& options);

  const std::string& id() const noexcept { return resolved_.id; }
  std::string tag() const;
  ModelInfo info();
  BackendInfo backend_info();
  LLMConfig config() const { return config_; }
  EngineStats stats();

 private:
  struct Started {
    std::shared_ptr<Request> request;
    std::shared_ptr<Mailbox> mailbox;
    std::shared_ptr<OutputSink> sink;
    std::string engine_id;
    bool prompt_logits = false;
  };
  Started make_request(const GenerateOptions& options, Executor executor);
  /// Template, tokenizer, defaults, submit.
  void submit(const Started& started, const Prompt& prompt, const GenerateOptions& options);
  /// `room`: the most tokens that are allowed, unless the prompt may be truncated.
  PreparedPrompt prepare_prompt(const Prompt& prompt, const GenerateOptions& options, int room);
  void truncate(std::vector<std::int32_t>& ids, bool allowed, int max_new_tokens,
                int max_model_len) const;
  std::shared_ptr<backend::Backend> require_backend();
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_or_null();
  const chat::Template& require_template();
  Executor resume_executor(const GenerateOptions& options);

  const LoadOptions options_;
  const ResolvedModel resolved_;
  const std::unique_ptr<format::Checkpoint> checkpoint_;
  const backend::Choice choice_;
  LLMConfig config_;
  std::optional<std::string> template_source_;
  int model_limit_ = 0;
  ModelInfo info_;

  std::atomic<int> process_{0};  // id; 0 before the first thread
  std::atomic<std::uint64_t> next_request_{0};
  std::mutex load_mutex_;
  std::atomic<bool> loaded_{false};
  std::shared_ptr<backend::Backend> backend_;  // written under load_mutex_ before loaded_

  std::mutex tokenizer_mutex_;
  bool tokenizer_loaded_ = false;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::string unsupported_tokenizer_;  // why there is none, if the files have one
  std::mutex template_mutex_;
  std::optional<chat::Template> template_;

  // Threads, made by their first task. Shared with the sinks: an answer may end after the Core.
  const std::shared_ptr<base::Worker> output_;
  const std::shared_ptr<base::Worker> resume_;
  base::Lanes front_;
};

}  // namespace openllm::llm
