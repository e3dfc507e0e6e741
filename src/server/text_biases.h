#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fields/values.h"
#include "server/routes.h"

namespace openllm::server {

/// Gives each text's number to its tokens, as llama.cpp's server does. `tokenize` gets a text, and
/// whether special tokens written in it become those tokens. What has no one meaning is
/// kInvalidArgument at the text's place: a token that has a number already, which there would be
/// added to it, and a text with special tokens, which there are never meant.
void add_text_biases(
    const fields::TextNumbers& texts, GenerateOptions& options,
    const std::function<std::vector<std::int32_t>(const std::string&, bool)>& tokenize);

/// The same with the tokenizer of a model, away from the I/O thread: it may have to be loaded
/// first. All arguments must outlive the task.
Task<void> add_text_biases(Call& call, const fields::TextNumbers& texts, GenerateOptions& options,
                           const LLM& llm);

}  // namespace openllm::server
