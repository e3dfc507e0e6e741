#pragma once

#include <filesystem>
#include <string>

#include "hub/cache.h"

// Repositories that have another name today than they were asked for by. The cache has them by the
// new one; that an old one means the same is a note of ours, `<downloads>/renamed/owner--name`, as
// others who read the cache would take further folders in it for damage.
namespace openllm::hub {

/// Notes that `asked` is called `now`. Does nothing for names that differ in letter case only. What
/// cannot be written is asked for again the next time.
void remember_name(const std::filesystem::path& downloads, const std::string& asked,
                   const std::string& now);

/// The reference; by the name of today where the cache has nothing of the one in it.
Reference with_name_of_today(const std::filesystem::path& downloads, const Cache& cache,
                             Reference reference);

}  // namespace openllm::hub
