#pragma once

#include <string>

#include "hub/api.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "openllm/options.h"

namespace openllm::hub {

/// How far a download has come.
using FetchProgress = PullProgress;

struct FetchOptions {
  std::string serialisation = "auto";  ///< As `select_files`.
  PullCallback progress{};
  DownloadOptions download{};
};

/// Brings what a reference means into the cache, in the layout that huggingface_hub reads and
/// writes: blobs by their digest, links to them in the snapshot of the commit, the revision's name
/// in refs. Files that are there are not fetched again, whoever fetched them. Links come when all
/// blobs are there, so that nobody sees half a model; of two processes that want the same file one
/// fetches it. Throws as `ask_for_repo`, `select_files` and `download`.
CachedModel fetch(const Asking& asking, const Cache& cache, const Reference& reference,
                  const FetchOptions& options = {});

}  // namespace openllm::hub
