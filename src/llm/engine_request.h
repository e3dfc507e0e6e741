#pragma once

#include <cstdint>
#include <string_view>

#include "backend/backend.h"
#include "engine/request.h"
#include "openllm/options.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// Throws kInvalidArgument naming the option that makes no sense, whatever the model.
void check_options(const GenerateOptions& options);

/// The engine's request, but for id, prompt and sink. `config` is resolved: it has every field that
/// the options leave open; conversations go on until the end of the context. `tokenizer` may be
/// null.
engine::Request make_engine_request(const GenerateOptions& options, const LLMConfig& config,
                                    bool is_chat, int max_model_len,
                                    const tokenizer::Tokenizer* tokenizer);

/// Throws kUnsupported naming the option that the backend `name` would have to ignore.
void require_capabilities(const GenerateOptions& options, const backend::Capabilities& capabilities,
                          std::string_view name);

std::uint64_t random_seed();

}  // namespace openllm::llm
