#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/cache.h"
#include "openllm/hub.h"
#include "openllm/store.h"

namespace openllm::hub {

struct Damage {
  std::filesystem::path path{};
  std::string reason{};
};

/// Computes the digest of each blob that the snapshot links to, and compares it to the blob's name.
/// A file that is no link has no name to be compared with and is taken as it is. `on_bytes` is told
/// of bytes as they are read.
std::vector<Damage> verify(const Snapshot& snapshot,
                           const std::function<void(std::int64_t)>& on_bytes = {});

/// Deletes a snapshot, the refs that name it, and blobs that no other snapshot links to. Of a blob
/// that is a link itself, the link. A reference to one of several GGUF files deletes that one
/// alone. False when it is not there. Throws kUnsupported where a folder of the repository is a
/// link, kBusy while it is being downloaded, kIo.
bool remove(const Cache& cache, const Reference& reference);

/// What no model needs: blobs that no snapshot links to, links that lead to nothing, and what
/// downloads left that nobody goes on with (another program's once it is a day old, for that does
/// not go on with it). Nothing of repositories that are being downloaded, or that have a folder
/// that is a link. Sorted.
std::vector<Leftover> leftovers(
    const Cache& cache, std::chrono::file_clock::time_point now = std::chrono::file_clock::now());
/// Deletes one of them. False when it is gone, or needed again. Throws kIo.
bool remove_leftover(const Cache& cache, const std::filesystem::path& path);

/// The same for what downloads of single files left below their folder.
std::vector<Leftover> url_leftovers(const std::filesystem::path& downloads);
bool remove_url_leftover(const std::filesystem::path& downloads, const std::filesystem::path& path);

/// Snapshots that have no model that is whole, and downloads that have not ended.
std::vector<PartialModel> partial_models(const Cache& cache);

}  // namespace openllm::hub
