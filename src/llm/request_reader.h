#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include "llm/mailbox.h"
#include "llm/output_sink.h"
#include "openllm/options.h"
#include "openllm/outputs.h"
#include "openllm/stream.h"

namespace openllm::llm {

class Instance;

/// A running request as its reader sees it. Destroying it cancels what still runs. Keeps the model
/// alive.
class RequestReader final : public detail::OutputSource {
 public:
  /// `merged`: the configuration with `options` over it.
  RequestReader(std::shared_ptr<Instance> instance, std::shared_ptr<Mailbox> mailbox,
                std::shared_ptr<OutputSink> sink, const GenerateOptions& options,
                const LLMConfig& merged, std::string request_id);
  ~RequestReader() override;

  /// Waits for an update; null after the last output. Throws what made the request fail.
  const GenerationOutput* next() override;
  void cancel() noexcept override;
  bool is_ready(Until until) override;
  bool suspend(std::coroutine_handle<> handle, Until until) override;
  void require_accepted() override;
  /// Logits of the prompt, if the engine was asked for them.
  std::vector<float> take_prompt_logits() noexcept { return std::move(prompt_logits_); }
  /// The pooled vector, if that is what was asked for.
  std::vector<float> take_pooled() noexcept { return std::move(pooled_); }

 private:
  void merge(Update update);
  void keep_whole(const CompletionChunk& chunk);
  void write_receipt();
  void keep_best();
  void number_outputs();

  const std::shared_ptr<Instance> instance_;
  const std::shared_ptr<Mailbox> mailbox_;
  const std::shared_ptr<OutputSink> sink_;
  const OutputKind kind_;
  const std::size_t n_;
  const bool want_logprobs_;
  const bool want_prompt_logprobs_;
  GenerationOutput output_;
  std::vector<float> prompt_logits_;
  std::vector<float> pooled_;
  base::Json receipt_;                        // its beginning; null: none is wanted
  std::vector<CompletionChunk> for_receipt_;  // whole choices, where outputs have deltas only
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace openllm::llm
