#pragma once

#include <map>
#include <string>
#include <string_view>

#include "openllm/error.h"
#include "openllm/options.h"

namespace openllm::llm {

/// Options of loading, and which variables they come from.
struct EffectiveOptions {
  std::string model{};
  LoadOptions options{};
  /// By option, as errors name it: the variable of the environment that set it.
  std::map<std::string, const char*, std::less<>> variables{};

  /// The error that these options gave; about one that a variable set, it names that.
  Error blame(const Error& error) const;
};

/// `model` and `options`, and what they leave unset from the environment (docs/configuration.md
/// lists the variables; empty ones say nothing). A variable for the version gives way to one in
/// `model` and to a tag. Throws kInvalidArgument naming the variable whose value cannot be read,
/// kUnsupported naming an option that only absent backends have.
EffectiveOptions with_environment(const std::string& model, const LoadOptions& options);

}  // namespace openllm::llm
