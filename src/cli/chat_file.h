#pragma once

#include <string>

#include "base/json.h"

namespace openllm::cli {

/// The path with the home folder for a leading "~/".
std::string expand_home(const std::string& path);
/// Writes a saved chat, whole or not at all, for its owner's eyes only. It takes the place of
/// another saved chat and of no other file: that is kInvalidArgument. Throws kIo.
void save_chat(const std::string& path, const base::Json& chat);
/// Reads one, or an array of messages. Throws kInvalidArgument when it is neither, kNotFound, kIo.
base::Json load_chat(const std::string& path);

}  // namespace openllm::cli
