#include "model/adapters/adapter_source.h"

namespace openllm::model {

const std::string& AdapterModule::tensor_name() const noexcept {
  for (const auto* tensor : {&a, &b, &b_bias, &magnitude, &weight, &bias, &tokens}) {
    if (*tensor) return (*tensor)->name;
  }
  return module;
}

AdapterSource read_adapter(const format::Checkpoint& checkpoint) {
  return checkpoint.kind() == format::Checkpoint::Kind::kGguf ? read_gguf_adapter(checkpoint)
                                                              : read_peft_adapter(checkpoint);
}

}  // namespace openllm::model
