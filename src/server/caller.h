#pragma once

#include <chrono>
#include <optional>

#include "server/routes.h"

namespace openllm::server {

/// Sets in whose name a request runs, and refuses what its caller may not ask for: to run before
/// the requests of others (`ServerOptions::allow_priority`).
void set_caller(const Call& call, GenerateOptions& options);

/// Sets the length of the answer where the request does not: to `ServerOptions::max_new_tokens`,
/// else to `otherwise`, which may be unset.
void set_default_length(const Call& call, std::optional<int> otherwise, GenerateOptions& options);

/// The time that a request gets: what it asks for, up to `most_s` seconds; 0: up to any.
std::optional<std::chrono::milliseconds> bounded_time(
    std::optional<std::chrono::milliseconds> asked, int most_s) noexcept;

/// Takes what the form of the answer depends on from the model's configuration, where the request
/// leaves it open.
void set_form(const LLM& llm, GenerateOptions& options);

}  // namespace openllm::server
