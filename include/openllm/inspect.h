#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "openllm/backends.h"
#include "openllm/doctor.h"
#include "openllm/llm.h"
#include "openllm/options.h"

namespace openllm {

/// Tensors of a model's files that differ by numbers in their names alone (of layers, of experts).
struct TensorGroup {
  std::string name{};                 ///< "model.layers.*.mlp.up_proj.weight"
  std::string type{};                 ///< Of the elements in the file: "BF16", "Q4_K", "I32".
  std::vector<std::int64_t> shape{};  ///< Of each.
  int n_tensors = 0;
  std::int64_t n_elements = 0;  ///< Of all together.
  std::int64_t n_bytes = 0;
};

/// What a model is, as far as its files say, and what it takes to run it.
struct Inspection {
  /// Memory, context and the backend that it gets; `info` in it. Speeds are not predicted.
  ModelReport model{};
  /// Scheme by which its matrices are quantised ("gptq", "awq", ...; GGUF: the commonest of its
  /// types); empty: not at all.
  std::string quantisation{};
  std::string license{};  ///< As README.md or the GGUF file name it; empty: they do not.
  std::vector<std::string> chat_templates{};  ///< Their names.
  std::vector<TensorGroup> tensors{};         ///< Largest first; by name where equal.
  BackendReport backends{};                   ///< Which can run it.
  std::vector<Finding> findings{};            ///< What would fail.
};

/// Reads a model's files, given as for LLM, without loading weights. Throws when there is no such
/// model or its files are damaged; a model that nothing here runs is described all the same.
OPENLLM_API Inspection inspect(const std::string& model, const LoadOptions& options = {});

}  // namespace openllm
