#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/adapter_book.h"
#include "model/model.h"

namespace openllm::backend {

/// The adapters of a model of this process. The model must outlive it and all that it gives.
class NativeAdapters final : public AdapterHost {
 public:
  explicit NativeAdapters(model::Model& model) : model_(model) {}

  std::shared_ptr<const Weights> load(const std::string& id) override;
  std::unique_ptr<Sum> mix(const std::vector<Part>& parts) override;

 private:
  class Prepared;
  class Mix;

  model::Model& model_;
};

}  // namespace openllm::backend
