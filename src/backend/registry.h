#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "format/model_source.h"
#include "openllm/embed.h"
#include "openllm/error.h"
#include "openllm/options.h"

namespace openllm::backend {

/// Why a backend does not run a model: an error as a value.
using Refusal = Error;

/// What a backend reads from the configuration of a model that it supports.
struct ModelFacts {
  std::string architecture{};  ///< Family, for example "llama".
  int n_layers = 0;
  int vocab_size = 0;
  int max_model_len = 0;  ///< By the model and LoadOptions::max_model_len.
  ModelTask task = ModelTask::kGenerate;
  int embedding_size = 0;  ///< As ModelInfo's.
  int n_labels = 0;
  bool is_encoder_decoder = false;
  std::vector<std::string> left_out{};  ///< As ModelInfo's.
};

/// A backend that LoadOptions::backend can name. One that this build or machine does not have is
/// an entry too, with `available` false and no functions.
struct BackendEntry {
  std::string name{};
  bool available = false;
  std::string reason{};  ///< Why it is absent, or its description.
  /// nullopt when the backend can run the model. Loads no weights; cheap enough to be asked of
  /// every backend whenever a model is opened.
  std::function<std::optional<Refusal>(const format::ModelSource&, const LoadOptions&)> supports{};
  /// Throws what `supports` would refuse.
  std::function<ModelFacts(const format::ModelSource&, const LoadOptions&)> describe{};
  std::function<std::unique_ptr<Backend>(const format::ModelSource&, const LoadOptions&)> load{};
  Capabilities capabilities{};  ///< As Backend::capabilities.
  /// What this machine lacks to run any model with the options of the environment; empty: nothing.
  /// No function: nothing ever is lacking.
  std::function<std::string()> lacks{};
};

/// All entries, in the order of preference: vllm, native, pt.
std::vector<BackendEntry> backends();

}  // namespace openllm::backend
