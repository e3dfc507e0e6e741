#pragma once

#include <string>

#include "openllm/llm.h"

namespace openllm {

struct ForModelOptions;

/// An LLM as Services have it: the same engine under the names that OpenLLM's runners had. A cheap
/// handle. Thread safety and errors as of LLM.
class OPENLLM_API Runner {
 public:
  /// As `llm.runner()`.
  explicit Runner(LLM llm);
  /// `openllm.Runner('llama', model_id=...)` of OpenLLM before 0.4; openllm/deprecated.h has the
  /// options.
  [[deprecated("write openllm::LLM(model).runner()")]] Runner(const std::string& family,
                                                              const ForModelOptions& options);
  Runner(const Runner&);
  Runner& operator=(const Runner&);
  Runner(Runner&&) noexcept;
  Runner& operator=(Runner&&) noexcept;
  ~Runner();

  /// `runner.generate(...)` and `runner.generate.async_run(...)`: LLM::generate,
  /// LLM::async_generate.
  class OPENLLM_API Generate {
   public:
    explicit Generate(LLM llm) : llm_(std::move(llm)) {}
    GenerationOutput operator()(const Prompt& prompt, const GenerateOptions& options = {}) const;
    Task<GenerationOutput> async_run(Prompt prompt, GenerateOptions options = {}) const;

   private:
    LLM llm_;
  };
  /// `runner.generate_iterator(...)` and `runner.generate_iterator.async_stream(...)`:
  /// LLM::generate_iterator, LLM::async_generate_iterator.
  class OPENLLM_API GenerateIterator {
   public:
    explicit GenerateIterator(LLM llm) : llm_(std::move(llm)) {}
    GenerationStream operator()(const Prompt& prompt, const GenerateOptions& options = {}) const;
    AsyncGenerationStream async_stream(const Prompt& prompt,
                                       const GenerateOptions& options = {}) const;
    const LLM& llm() const noexcept { return llm_; }

   private:
    LLM llm_;
  };

  Generate generate;
  GenerateIterator generate_iterator;
  [[deprecated("write generate_iterator")]] GenerateIterator vllm_generate_iterator;

  const LLM& llm() const noexcept { return generate_iterator.llm(); }
  /// "llm-<llm_type>-runner".
  std::string name() const;
  std::string llm_type() const { return llm().llm_type(); }
  std::string llm_tag() const { return llm().tag(); }
  BackendInfo backend() const { return llm().backend(); }
  LLMConfig config() const { return llm().config(); }
  /// Whether LoRA adapters are mounted, as LLM::adapters.
  bool has_adapters() const { return !llm().adapters().empty(); }
  EngineStats stats() const { return llm().stats(); }
};

}  // namespace openllm
