#pragma once

#include <memory>
#include <string>
#include <vector>

#include "llm/instance.h"
#include "openllm/embed.h"
#include "openllm/task.h"

namespace openllm::llm {

/// Inputs whose vectors are being computed, each a request of its own to the engine. Giving it up
/// cancels them.
class EmbedRun {
 public:
  /// Of LLM::embed. Throws what is wrong with the options.
  static EmbedRun embed(const std::shared_ptr<Instance>& instance, std::vector<Prompt> inputs,
                        const EmbedOptions& options);
  /// Of LLM::score.
  static EmbedRun score(const std::shared_ptr<Instance>& instance, const std::string& query,
                        const std::vector<std::string>& documents, const EmbedOptions& options);

  /// Waits for all of them; throws what made one fail.
  void wait();
  Task<void> until_done();
  /// The results, once they are done.
  EmbedOutput embeddings();
  ScoreOutput scores();

 private:
  explicit EmbedRun(std::shared_ptr<Instance> instance) : instance_(std::move(instance)) {}

  void set_options(const EmbedOptions& options, std::size_t n_inputs);
  void start(EmbedInput input);
  EmbedInput with_prompt(Prompt prompt, const EmbedOptions& options) const;
  void start_pairs(const std::string& query, const std::vector<std::string>& documents,
                   const EmbedOptions& options);
  std::vector<float> finish(std::size_t index) const;
  float score_of(std::size_t index) const;

  std::shared_ptr<Instance> instance_;
  GenerateOptions options_{};  // of each input
  std::optional<Pooling> pooling_{};
  bool normalize_ = true;
  int dimensions_ = 0;
  bool is_pairs_ = false;
  std::vector<std::shared_ptr<RequestReader>> readers_{};
  std::vector<Embedding> results_{};
};

/// The documents of `scores`, best first.
RerankOutput ranked(const ScoreOutput& scores, int top_n);

}  // namespace openllm::llm
