#pragma once

#include <filesystem>
#include <string_view>

namespace openllm::hub {

/// Throws what errno's value `error` means for a file of the cache, with what to do:
/// kResourceExhausted for a full disk, else kIo. `what`: what failed ("write").
[[noreturn]] void fail_of_file(const std::filesystem::path& path, std::string_view what, int error);

}  // namespace openllm::hub
