#pragma once

#include <optional>
#include <span>

#include "jinja/values/builtin.h"

namespace openllm::jinja {

/// The bound method `name` of a text, list, tuple, dict or number.
std::optional<Value> find_method(Runtime& runtime, const Value& value, std::string_view name);

std::span<const BuiltinEntry> text_methods() noexcept;
std::span<const BuiltinEntry> text_predicates() noexcept;

}  // namespace openllm::jinja
