#pragma once

#include <string>
#include <utility>

#include "openllm/error.h"
#include "openllm/llm.h"
#include "openllm/runner.h"

// What OpenLLM before 0.4 had, in the words of one LLM class. For programs that are being moved;
// not part of openllm/openllm.h.
namespace openllm {

/// Arguments of `for_model` and of the old Runner.
struct ForModelOptions {
  std::string model_id{};        ///< Empty: the family is a model's name.
  bool ensure_available = true;  ///< False: nothing is fetched.
  LLMConfig llm_config{};
  std::string backend{};  ///< Of Runner.
};

/// The LLM behind the verbs below. The family is not needed: a model says by itself what it is.
OPENLLM_API LLM llm_for_model(const std::string& family, const ForModelOptions& options,
                              std::string backend);

#define OPENLLM_DETAIL_AUTO_CLASS(Name, backend_name)                                           \
  struct [[deprecated("write openllm::LLM(model)")]] Name{static LLM for_model(                 \
      const std::string& family,                                                                \
      const ForModelOptions& options = {}){return llm_for_model(family, options, backend_name); \
  }                                                                                             \
  }                                                                                             \
  ;
OPENLLM_DETAIL_AUTO_CLASS(AutoLLM, "auto")
OPENLLM_DETAIL_AUTO_CLASS(AutoVLLM, "vllm")
OPENLLM_DETAIL_AUTO_CLASS(AutoTFLLM, "tf")
OPENLLM_DETAIL_AUTO_CLASS(AutoFlaxLLM, "flax")
#undef OPENLLM_DETAIL_AUTO_CLASS

}  // namespace openllm
