#include "format/gguf_types.h"

#include <array>
#include <string_view>

#include "base/error.h"

namespace openllm::format::gguf {
namespace {

/// By ggml's number; empty where a number was retired.
constexpr std::array<std::string_view, 42> kNames = {
    "F32",     "F16",   "Q4_0",   "Q4_1",  "",      "",       "Q5_0", "Q5_1",    "Q8_0",
    "Q8_1",    "Q2_K",  "Q3_K",   "Q4_K",  "Q5_K",  "Q6_K",   "Q8_K", "IQ2_XXS", "IQ2_XS",
    "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",   "I16",     "I32",
    "I64",     "F64",   "IQ1_M",  "BF16",  "",      "",       "",     "TQ1_0",   "TQ2_0",
    "",        "",      "",       "MXFP4", "NVFP4", "Q1_0"};

}  // namespace

std::optional<tensor::DType> find_type(std::uint32_t number) noexcept {
  if (number >= kNames.size() || kNames[number].empty()) return std::nullopt;
  return tensor::find_dtype(kNames[number]);
}

std::string type_name(std::uint32_t number) {
  if (number >= kNames.size() || kNames[number].empty()) return base::cat(number);
  return base::cat(kNames[number], " (", number, ")");
}

}  // namespace openllm::format::gguf
