#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "openllm/options.h"
#include "tensor/dtype.h"

namespace openllm::backend {

/// What the native backend takes of `options`, whatever the model: sizes in their ranges, a KV type
/// and a device that exist. Throws kInvalidArgument naming the option. Made for constructors:
/// nothing is loaded and no thread started.
void check_options(const LoadOptions& options);

/// LoadOptions::dtype; nullopt for "auto". Throws kInvalidArgument for another word.
std::optional<tensor::DType> parse_dtype(std::string_view name);

/// LoadOptions::quantize as the native engine has it: q8 (also int8), q4 (int4) or fp8; nullopt if
/// empty. Throws kUnsupported for what it has not.
std::optional<tensor::DType> parse_quantize(std::string_view name);

/// AdapterOptions::name, "default" if that is empty.
const std::string& name_of(const AdapterOptions& adapter) noexcept;

/// Throws kUnsupported naming an option that no backend here has, or that only another one than
/// LoadOptions::backend has.
void refuse_options_of_others(const LoadOptions& options);

/// Throws kUnsupported naming an option that vLLM alone can follow. Where it looks for servers and
/// programs is none of these.
void refuse_what_only_vllm_does(const LoadOptions& options);

}  // namespace openllm::backend
