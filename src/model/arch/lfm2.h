#pragma once

#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {

/// What the dense and the sparse kind of LFM2 share: all but the FFNs.
ModelSpec read_lfm2(const Config& config, const hf::Defaults& defaults);
ModuleLayout lfm2_layout();
/// The same of GGUF.
void read_lfm2_members(gguf::Members& members);
ModuleLayout lfm2_gguf_layout();

}  // namespace openllm::model
