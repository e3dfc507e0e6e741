#pragma once

#include <span>

#include "jinja/methods/methods.h"

namespace openllm::jinja {

/// Null when there is none of that name.
Builtin find_filter(std::string_view name) noexcept;
Builtin find_test(std::string_view name) noexcept;
/// raise_exception, range, dict, namespace, ... as values.
std::optional<Value> find_global(std::string_view name);

// The filters, by theme; find_filter searches them all.
std::span<const BuiltinEntry> text_filters() noexcept;
std::span<const BuiltinEntry> number_filters() noexcept;
std::span<const BuiltinEntry> sequence_filters() noexcept;
std::span<const BuiltinEntry> selection_filters() noexcept;

}  // namespace openllm::jinja
