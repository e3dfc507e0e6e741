#pragma once

#include "openllm/doctor.h"

namespace openllm::llm {

/// The machine, and what is wrong with the environment and the store.
void examine_machine(Diagnosis& diagnosis, const DoctorOptions& options);

}  // namespace openllm::llm
