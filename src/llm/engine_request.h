#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "engine/request.h"
#include "openllm/options.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// Throws kInvalidArgument naming the option that makes no sense, whatever the model.
void check_options(const GenerateOptions& options);

/// The configuration with the request over it. Throws kInvalidArgument for a `best_of` that cannot
/// be: fewer than `n`, or in a stream.
LLMConfig merge_request(const LLMConfig& config, const GenerateOptions& options);

/// What a request must fit.
struct ModelLimits {
  int max_model_len = 0;
  int vocab_size = 0;
};

/// The engine's request, but for id, prompt and sink. `config` is resolved: it has every field that
/// the options leave open; conversations go on until the end of the context. `tokenizer` may be
/// null.
engine::Request make_engine_request(const GenerateOptions& options, const LLMConfig& config,
                                    bool is_chat, const ModelLimits& limits,
                                    const tokenizer::Tokenizer* tokenizer);

/// The values that the request uses of every field that a configuration has.
LLMConfig resolve(const GenerateOptions& options, const LLMConfig& config, bool is_chat,
                  const ModelLimits& limits);

/// Lengths of prompt and answer together; 0: none.
struct TotalLengths {
  int max = 0;
  int min = 0;
};
TotalLengths total_lengths(const GenerateOptions& options, const LLMConfig& config, bool is_chat);

/// Makes lengths of the answer of them, once the request has its prompt. Throws kInvalidArgument
/// when the prompt leaves no room.
void count_prompt(engine::Request& request, const TotalLengths& lengths);

/// Choices that are made, for `n` to be given.
int n_choices(const LLMConfig& merged) noexcept;

/// The fields that a backend would have to honour: the request sets them, or `config` has a default
/// that is not the table's.
std::vector<std::string> fields_of(GenerateOptions options, LLMConfig config);
/// Throws kUnsupported naming the one of `fields` that the backend `name` would have to ignore.
void require_capabilities(const std::vector<std::string>& fields,
                          const backend::Capabilities& capabilities, std::string_view name);

std::uint64_t random_seed();

}  // namespace openllm::llm
