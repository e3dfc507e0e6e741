#include "openllm/runner.h"

#include <utility>

#include "base/error.h"
#include "openllm/deprecated.h"

namespace openllm {

// The members that are deprecated are made and copied with the others.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
Runner::Runner(LLM llm)
    : generate(llm), generate_iterator(llm), vllm_generate_iterator(std::move(llm)) {}
Runner::Runner(const std::string& family, const ForModelOptions& options)
    : Runner(llm_for_model(family, options, options.backend)) {}
Runner::Runner(const Runner&) = default;
Runner& Runner::operator=(const Runner&) = default;
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;
Runner::~Runner() = default;
#pragma GCC diagnostic pop

LLM llm_for_model(const std::string& family, const ForModelOptions& options, std::string backend) {
  if (backend == "tf" || backend == "flax") {
    base::fail_at(ErrorCode::kUnsupported, "backend",
                  "TensorFlow and Flax backends ended with OpenLLM 0.4; these checkpoints load "
                  "through native or pt (got ",
                  backend, ")");
  }
  LoadOptions load;
  load.ensure_available = options.ensure_available;
  if (backend != "auto") load.backend = std::move(backend);
  load.config = options.llm_config;
  return LLM(options.model_id.empty() ? family : options.model_id, load);
}

GenerationOutput Runner::Generate::operator()(const Prompt& prompt,
                                              const GenerateOptions& options) const {
  return llm_.generate(prompt, options);
}

Task<GenerationOutput> Runner::Generate::async_run(Prompt prompt, GenerateOptions options) const {
  return llm_.async_generate(std::move(prompt), std::move(options));
}

GenerationStream Runner::GenerateIterator::operator()(const Prompt& prompt,
                                                      const GenerateOptions& options) const {
  return llm_.generate_iterator(prompt, options);
}

AsyncGenerationStream Runner::GenerateIterator::async_stream(const Prompt& prompt,
                                                             const GenerateOptions& options) const {
  return llm_.async_generate_iterator(prompt, options);
}

std::string Runner::name() const { return "llm-" + llm_type() + "-runner"; }

Runner LLM::runner() const {
  (void)impl();
  return Runner(*this);
}
Runner LLM::to_runner() const { return runner(); }

}  // namespace openllm
