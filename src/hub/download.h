#pragma once

#include <filesystem>
#include <string>

#include "hub/part_fetch.h"

namespace openllm::hub {

/// Downloads to `target`, in parts over several connections where the server gives ranges, going on
/// with what an earlier call left there. The file appears under its name only when it is whole and
/// has the size and digest that were asked for. Breaks are tried again. Throws kCorruptData for
/// other bytes than expected (what came is thrown away), kNotFound and others by
/// `fail_of_status`, kResourceExhausted for a full disk, kCancelled; what came stays then.
void download(const Asking& asking, const Wanted& wanted, const std::filesystem::path& target,
              const DownloadOptions& options = {});

}  // namespace openllm::hub
