#pragma once

#include <vector>

#include "model/arch/gguf_members.h"

// What GGUF files of networks with recurrent mixers have in common.

namespace openllm::model::gguf {

/// Names of a Mamba, and of a Mamba 2.
void add_mamba(ModuleLayout& layout);
void add_mamba2(ModuleLayout& layout);

/// Columns of the mixers for each one of the network, as config.json has it.
int read_expansion(const Config& config);
/// ssm.* under the names of Bamba and its kin: mamba_n_heads and so on.
void read_mamba2(const Config& config, Members& members);
/// Layers that attend, by attention.recurrent_layers, or else every full_attention_interval-th one.
std::vector<bool> read_attending(const Config& config, int n_layers, int otherwise);
/// `name`: a word for each layer.
void set_kinds(Members& members, std::string_view name, const std::vector<bool>& is_kind,
               std::string_view word, std::string_view other);

}  // namespace openllm::model::gguf
