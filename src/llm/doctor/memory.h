#pragma once

#include "backend/native.h"
#include "openllm/doctor.h"

namespace openllm::llm {

/// What the model takes of `memory_available`, and what does not fit.
void examine_memory(Diagnosis& diagnosis, const backend::Footprint& footprint,
                    const LoadOptions& load);

}  // namespace openllm::llm
