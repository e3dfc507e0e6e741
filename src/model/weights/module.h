#pragma once

#include <string_view>
#include <vector>

#include "format/checkpoint.h"

namespace openllm::model {

/// What a module does in the network, whatever a file calls it. Each block declares the roles of
/// its modules; they are compared by name.
struct Role {
  std::string_view name;
  friend bool operator==(const Role&, const Role&) = default;
};

/// A file's name for the modules of one role. A module is a linear, a norm or a table; its tensors
/// are the name with a suffix (".weight", ".bias"; a weight scheme may have others). '#' stands for
/// the layer's number, '@' for the expert's.
struct ModuleName {
  Role role;
  std::string_view pattern;
  /// The name may also stand beside the prefix of the other names: "lm_head" beside "model.".
  bool beside_prefix = false;
};

/// Where a family's modules are in one file format.
struct ModuleLayout {
  /// A role may have several names, which are tried in order. The first name with a '#', as all of
  /// its role, is of a module that every layer has.
  std::vector<ModuleName> modules{};
  /// Those of the encoder of an encoder-decoder model.
  std::vector<ModuleName> encoder_modules{};
  /// Put before every name. The first one with which layer 0 is found is taken.
  std::vector<std::string_view> prefixes{""};
  /// Names of tensors that may be in the file and are of no use here. '#' stands for a number, '*'
  /// at the end for anything.
  std::vector<std::string_view> ignored{};
  /// Linear weights are stored [in, out] (GPT-2's Conv1D).
  bool transposed = false;
  /// Stacked experts are [experts, in, out].
  bool transposed_experts = false;
  /// Stacked experts are one matrix, [experts * out, in], or [experts * in, out] for one role.
  bool flat_experts = false;
  Role transposed_flat{};
  /// The outputs 0 .. n - 1 of each head of Q and K are stored in the order 0, n/2, 1, n/2 + 1, ...
  /// of the family's other file format (for RoPE that turns neighbours).
  bool paired_heads = false;
};

/// A family's modules in every file format.
struct Layouts {
  const ModuleLayout* hf = nullptr;
  const ModuleLayout* gguf = nullptr;

  const ModuleLayout& of(format::Checkpoint::Kind kind) const noexcept {
    return kind == format::Checkpoint::Kind::kGguf ? *gguf : *hf;
  }
};

/// Which one of the modules of a role.
struct At {
  int layer = 0;
  int expert = 0;
  int n_experts = 0;  ///< 0: not a module of experts.
  friend bool operator==(const At&, const At&) = default;
};

/// A module of the network, whatever a file calls it.
struct ModuleRef {
  Role role;
  At at{};
  bool in_encoder = false;  ///< Of an encoder-decoder model.
  friend bool operator==(const ModuleRef&, const ModuleRef&) = default;
};
/// The modules that a layout calls so, behind any of its prefixes. There may be several: a name may
/// have other roles in other layers.
std::vector<ModuleRef> find_modules(const ModuleLayout& layout, std::string_view name);

}  // namespace openllm::model
