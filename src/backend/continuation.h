#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/failure.h"
#include "engine/request.h"

// What is to be known of an answer that goes on at another place than where it began.
namespace openllm::backend {

/// Whether another place may do better with what one failed.
bool may_work_elsewhere(const base::Failure& failure) noexcept;

/// The field by which what follows depends on where the answer begins, so that a place that takes
/// the tokens so far for a part of the prompt would go on otherwise. Empty: there is none.
std::string_view field_of_answer(const engine::Request& request) noexcept;

/// How an answer that has these tokens has ended, though nobody told so; nullopt: it goes on.
std::optional<FinishReason> end_of(const engine::Request& request,
                                   std::span<const std::int32_t> answer) noexcept;

/// Tokens still to come once `n_answered` are there.
struct LeftTokens {
  int min = 0;
  int max = 0;
};
LeftTokens left_after(const engine::Request& request, std::size_t n_answered) noexcept;

}  // namespace openllm::backend
