#pragma once

#include <string_view>
#include <vector>

#include "model/arch/family.h"
#include "model/config/rope.h"

namespace openllm::model::gguf {

/// The members every decoder architecture has: sizes, norm, and the vocabulary from the embedding's
/// shape. Layers are full attention; ropes are left to the family. Source: ggml's docs/gguf.md and
/// llama.cpp's loader.
ModelSpec read_common(const Config& config, const format::Checkpoint& checkpoint,
                      device::NormKind norm);

/// For families without mixtures.
void refuse_experts(const Config& config);
/// expert_count and expert_used_count as a mixture on every layer; nothing where there are none.
void read_mixture(const Config& config, ModelSpec& spec);

/// read_common for decoders in llama's style: RMS norms, one rope for all layers, optional biases.
ModelSpec read_llama_like(const Config& config, const format::Checkpoint& checkpoint,
                          device::RopeStyle style);

/// rope.* members and rope_freqs.weight.
RopeParameters read_rope(const Config& config, const ModelSpec& spec, device::RopeStyle style);
/// A tensor of n positive F32 numbers, such as rope_freqs.weight.
std::vector<float> read_factors(const format::Checkpoint& checkpoint, std::string_view name,
                                std::size_t n);
/// Adds a rope and returns its index.
int add_rope(const format::Checkpoint& checkpoint, const RopeParameters& parameters,
             ModelSpec& spec);
/// One rope for all layers.
void read_single_rope(const Config& config, const format::Checkpoint& checkpoint,
                      device::RopeStyle style, ModelSpec& spec);

/// True when the file has that tensor: optional biases and tied embeddings are told by what is
/// there.
bool has_tensor(const format::Checkpoint& checkpoint, std::string_view name);
void read_biases(const format::Checkpoint& checkpoint, ModelSpec& spec);

/// attention.sliding_window, or `otherwise`; 0: none.
int read_window(const Config& config, int otherwise);

/// attention.sliding_window_pattern: one by one, or a period whose last layer is full.
std::vector<bool> read_windowed_layers(const Config& config, int n_layers, int otherwise);

/// attention.scale, if given.
void read_attention_scale(const Config& config, ModelSpec& spec);

/// Names shared by all architectures; a family has the modules its spec asks for.
ModuleLayout layout();

}  // namespace openllm::model::gguf
