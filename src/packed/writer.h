#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "packed/contents.h"

namespace openllm::packed {

/// A matrix to be kept; its bytes stay where they are.
struct NewPart {
  Key key{};
  std::span<const std::byte> bytes{};
};

/// Writes a copy to `path`, whose folder exists: into a hidden file beside it first, which gets the
/// name when all of it is on the disk. `may_go_on` is asked before every block; false ends it.
/// False when it was ended so, or when another process is writing the same. Throws
/// kResourceExhausted when the disk is full, kIo for all else.
bool write_copy(const std::string& path, Contents contents, const std::vector<NewPart>& parts,
                const std::function<bool()>& may_go_on);

/// What a copy of these parts takes on the disk.
std::uint64_t file_bytes_of(const Contents& contents, const std::vector<NewPart>& parts);

/// Deletes what writers that were ended left in a folder.
void remove_unfinished(const std::string& folder) noexcept;

}  // namespace openllm::packed
