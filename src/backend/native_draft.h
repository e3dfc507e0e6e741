#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/native_runner.h"
#include "backend/packed_copies.h"
#include "device/device.h"
#include "engine/engine.h"
#include "format/checkpoint.h"
#include "format/model_source.h"
#include "model/model.h"
#include "openllm/options.h"

namespace openllm::backend {

/// LoadOptions::draft_model, a path here, on the device of the model that it guesses for.
class NativeDraft {
 public:
  /// Takes its weights. Every error is about "draft_model". The device must outlive it.
  NativeDraft(const LoadOptions& options, device::Device& device);

  /// Makes its part of the KV cache, beside a model with these `blocks`; what the engine is told.
  /// Called once.
  engine::DraftModelOptions make_room(const std::vector<int>& blocks, int max_model_len,
                                      std::int64_t left_bytes);
  PackedCopies& packed() noexcept { return *packed_; }

 private:
  LoadOptions options_;
  std::unique_ptr<PackedCopies> packed_;  // has the bytes of weights
  model::ModelOptions model_options_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<NativeRunner> runner_;
};

/// What it takes, without its keys and values.
std::int64_t draft_memory_bytes(const LoadOptions& options);

/// Throws what is wrong with LoadOptions::draft_model as one for this model, where "draft_model";
/// nothing if there is none. Reads no weights.
void check_draft(const format::Checkpoint& target, const LoadOptions& options);

}  // namespace openllm::backend
