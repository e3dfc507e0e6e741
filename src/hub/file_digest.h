#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace openllm::hub {

/// The digest of a file as hubs name blobs: SHA-256, or SHA-1 of git's blob. `on_bytes` is told of
/// bytes as they are read. Reading does not count as a use of the file. Throws kIo.
std::string sha256_of(const std::filesystem::path& path,
                      const std::function<void(std::int64_t)>& on_bytes = {});
std::string git_sha1_of(const std::filesystem::path& path,
                        const std::function<void(std::int64_t)>& on_bytes = {});

}  // namespace openllm::hub
