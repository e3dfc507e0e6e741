#pragma once

#include <string>
#include <vector>

#include "openllm/error.h"
#include "openllm/options.h"

namespace openllm {

/// A backend or a device that LoadOptions can name.
struct Availability {
  std::string name{};
  bool available = false;
  std::string reason{};  ///< What it is, or why it cannot be used here.
};

/// What LoadOptions::backend can name, in the order of preference.
OPENLLM_API std::vector<Availability> list_backends();
/// Answers of the backends to one model.
struct BackendReport {
  /// In the order of preference; `available`: it can run the model, else `reason` says why not.
  std::vector<Availability> backends{};
  /// The one that an LLM of this model takes; "places" for several; empty when there is none.
  std::string chosen{};
  std::string reason{};  ///< Why this one, or why none. One sentence.
  /// Of LoadOptions::places each, as it was given; `available`: it can run the model now.
  std::vector<Availability> places{};
};
/// Asks every backend about a model, given as for LLM, without loading it. Throws when there is no
/// such model or its files are damaged.
OPENLLM_API BackendReport ask_backends(const std::string& model, const LoadOptions& options = {});

/// What every backend does with a field of requests, by its name in docs/fields.md; also of those
/// that other engines have and this version cannot honour. In the order of preference; `available`:
/// it is honoured, else `reason` says why not, and a request that sets it is refused. Throws
/// kNotFound when there is no such field.
OPENLLM_API std::vector<Availability> ask_backends_for_field(const std::string& field);

/// What LoadOptions::device can name, in the order of preference.
OPENLLM_API std::vector<Availability> list_devices();

}  // namespace openllm
