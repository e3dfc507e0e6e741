#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/arch/hf.h"

// What configurations of networks with recurrent mixers have in common.

namespace openllm::model::hf {

inline constexpr std::int64_t kMaxConvTaps = 64;
inline constexpr std::int64_t kMaxStateNumbers = 1 << 14;
/// Of networks that remember in states alone, where nothing says how far they were made for.
inline constexpr int kEndlessPositions = 1 << 20;

/// Gives the modules of a role another name, the only one.
void rename(ModuleLayout& layout, Role role, std::string_view pattern);
/// Takes the names of a role out.
void remove(ModuleLayout& layout, Role role);
void add(ModuleLayout& layout, const std::vector<ModuleName>& names);

/// Overwrites `is_kind` [layers] by the list at `key`, where it is given: true for one of `names`,
/// false for one of `others`; kUnsupported for other words.
void read_kinds(const Config& config, std::string_view key,
                const std::vector<std::string_view>& names,
                const std::vector<std::string_view>& others, std::vector<bool>& is_kind);

/// A network of mixers without FFNs and attention: sizes, norms with the epsilon at
/// layer_norm_epsilon, tying. The mixers are left to the family.
ModelSpec read_mixers_alone(const Config& config, const Defaults& defaults);
/// Its names, but those of the mixers.
ModuleLayout mixers_alone_layout();

/// Names of a Mamba, or of a Mamba 2, in `layers.#.mixer` or else `layers.#.mamba`.
void add_mamba(ModuleLayout& layout, bool in_mixer);
void add_mamba2(ModuleLayout& layout, bool in_mixer);

/// The members of a Mamba 2 as Bamba and its kin call them: mamba_n_heads and so on.
struct Mamba2Reading {
  int n_heads = 128;
  int n_groups = 1;
  int n_numbers = 256;
  bool norm_before_gate = false;  ///< Else the gate comes before the norm.
};
Mamba2Spec read_mamba2(const Config& config, const ModelSpec& spec, const Mamba2Reading& reading);
/// `key`, two numbers: the limits of steps. Infinity may be written as the word.
device::TimeStepSpec read_step_limits(const Config& config, std::string_view key);

}  // namespace openllm::model::hf
