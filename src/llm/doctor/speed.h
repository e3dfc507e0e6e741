#pragma once

#include <string>

#include "backend/native.h"
#include "openllm/doctor.h"

namespace openllm::llm {

/// Measures the machine for a second, and predicts how fast the model is. Leaves it out where there
/// is hardly memory to measure.
void predict_speed(Diagnosis& diagnosis, const backend::Footprint& footprint, int n_threads);

/// Loads the model and measures how fast it decodes. In the same rounds the machine is measured
/// again for the prediction, unless `footprint` is null: others may be using it too.
void measure_speed(Diagnosis& diagnosis, const backend::Footprint* footprint, int n_threads,
                   const std::string& model, const LoadOptions& load);

}  // namespace openllm::llm
