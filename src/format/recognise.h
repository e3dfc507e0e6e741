#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace openllm::format {

/// What a file is that should have been a model's, by its first bytes: "a Git LFS pointer (...)",
/// "an HTML page", "a pickle of PyTorch", ... Empty when nothing is known about such bytes.
std::string recognise(std::span<const std::byte> file);
/// The same of a file on disk; empty also when it cannot be read.
std::string recognise_file(const std::string& path);

/// " (it is WHAT)", or nothing when `recognise` knows nothing. For messages.
std::string note_what_it_is(std::span<const std::byte> file);
std::string note_what_it_is(const std::string& path);

/// The same for what should be JSON: nothing when it begins like that.
std::string note_if_no_json(const std::string& text);

/// Throws kCorruptData when `text`, which should be what `expected` says, is a Git LFS pointer or
/// an HTML page: texts that a lenient reader would take.
void refuse_placeholder(const std::string& path, const std::string& text, const char* expected);

/// For a folder that holds no model one can open: which of its files look like parts of one, and
/// what is wrong with them (links that lead nowhere, other formats). "it holds ...", a sentence
/// without a full stop.
std::string describe_folder(const std::string& folder);

}  // namespace openllm::format
