#include "model/arch/family.h"

namespace openllm::model {

const std::vector<Family>& families() {
  static const std::vector<Family> kAll = {
      llama_family(),     mistral_family(), qwen2_family(), qwen3_family(),
      gemma2_family(),    gemma3_family(),  gpt2_family(),  mixtral_family(),
      deepseek2_family(), bert_family(),    t5_family(),
  };
  return kAll;
}

}  // namespace openllm::model
