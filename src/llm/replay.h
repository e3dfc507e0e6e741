#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llm/instance.h"
#include "openllm/receipt.h"

namespace openllm::llm {

/// As LLM::replay. `prompt`: for receipts without tokens; else null.
ReplayResult replay(Instance& instance, const std::string& receipt,
                    const std::vector<std::int32_t>* prompt);

}  // namespace openllm::llm
