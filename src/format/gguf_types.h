#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace openllm::format::gguf {

/// ggml's number for a tensor element type (enum ggml_type in ggml.h); nullopt for those not
/// supported here.
std::optional<tensor::DType> find_type(std::uint32_t number) noexcept;

/// "IQ2_XXS (16)", or "99" when nobody knows the number.
std::string type_name(std::uint32_t number);

}  // namespace openllm::format::gguf
