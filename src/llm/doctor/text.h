#pragma once

#include "llm/local_model.h"
#include "openllm/doctor.h"

namespace openllm::llm {

/// Tokenizer and chat template. `vocab_size`: rows of the model's embedding; 0: not known.
void examine_text(Diagnosis& diagnosis, LocalModel& model, int vocab_size);

}  // namespace openllm::llm
