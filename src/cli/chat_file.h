#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace openllm::cli {

/// The path with the home folder for a leading "~/".
std::string expand_home(const std::string& path);
/// Writes a saved chat, whole or not at all, for its owner's eyes only. It takes the place of
/// another saved chat and of no other file: that is kInvalidArgument. Throws kIo.
void save_chat(const std::string& path, const base::Json& chat);
/// Reads one, or an array of messages. Throws kInvalidArgument when it is neither, kNotFound, kIo.
base::Json load_chat(const std::string& path);

/// Writes a file whole or not at all, in the place of one that is there. Throws kIo.
void replace_file(const std::string& path, std::string_view text);

}  // namespace openllm::cli
