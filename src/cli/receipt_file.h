#pragma once

#include <openllm/outputs.h>

#include <string>

// Files of `--receipt`; "-" is standard output.
namespace openllm::cli {

/// Throws kInvalidArgument for a file that is there already and is no receipt. An empty path is
/// none.
void check_receipt_path(const std::string& path);
/// Writes the receipt of the output, if there is a path. An answer that was broken off may have
/// none: says so on standard error.
void write_receipt(const std::string& path, const GenerationOutput& output);

}  // namespace openllm::cli
