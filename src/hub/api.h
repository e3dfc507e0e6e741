#pragma once

#include <string>
#include <vector>

#include "hub/reference.h"
#include "hub/request.h"
#include "hub/selection.h"

namespace openllm::hub {

/// A revision of a repository as the hub describes it.
struct RepoInfo {
  std::string repo{};    ///< Its name now: a renamed one has another than was asked for.
  std::string commit{};  ///< 40 hexadecimal digits.
  std::vector<RemoteFile> files{};
};

/// Asks the hub for the commit and the files of a revision. Throws as `get` and `fail_of_status`;
/// kCorruptData when the answer is not a hub's.
RepoInfo ask_for_repo(const Asking& asking, const Reference& reference);

/// What the hub's answer says. Names of files that lead elsewhere are left out. Throws
/// kCorruptData.
RepoInfo parse_repo(const std::string& body, const std::string& repo);

/// Where the hub gives a file of a commit.
std::string file_url(const Asking& asking, const std::string& repo, const std::string& commit,
                     const std::string& path);

}  // namespace openllm::hub
