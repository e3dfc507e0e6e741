#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/adapter_book.h"
#include "backend/pt/runner.h"

namespace openllm::backend::pt {

/// The adapters of a model in a Python process, by peft. What it refuses and what the native
/// backend refuses are the same as far as both have it: its files are read here first. The runner
/// must outlive it and all that it gives.
class Adapters final : public AdapterHost {
 public:
  explicit Adapters(Runner& runner) : runner_(runner) {}

  std::shared_ptr<const Weights> load(const std::string& id) override;
  std::unique_ptr<Sum> mix(const std::vector<Part>& parts) override;

 private:
  class Mounted;
  class MountedSum;

  Runner& runner_;
};

}  // namespace openllm::backend::pt
