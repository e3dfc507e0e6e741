#pragma once

#include <cstddef>
#include <cstdint>

#include "device/device.h"
#include "engine/step_runner.h"
#include "model/model.h"

namespace openllm::backend {

/// Steps of the engine as forward passes of a model.
class NativeRunner final : public engine::StepRunner {
 public:
  NativeRunner(device::Device& device, model::Model& model) : device_(device), model_(model) {}

  int vocab_size() const noexcept override { return model_.spec().vocab_size; }
  int hidden_size() const noexcept override { return model_.spec().dim; }
  step::Outputs run(const step::Step& step) override { return model_.forward(step); }
  int n_threads() const noexcept override { return device_.n_host_threads(); }
  void run_between_steps(std::size_t n, base::FunctionRef<void(std::size_t)> body) override {
    device_.run_on_host(n, body);
  }

 private:
  device::Device& device_;
  model::Model& model_;
};

}  // namespace openllm::backend
