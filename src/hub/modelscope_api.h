#pragma once

#include <string>
#include <vector>

#include "hub/reference.h"
#include "hub/request.h"
#include "hub/selection.h"

namespace openllm::hub {

/// The revision that ModelScope's repositories have where none is named.
constexpr const char* kModelScopeRevision = "master";

/// Asks ModelScope for the files of a revision:
/// `GET /api/v1/models/owner/name/repo/files?Revision=REVISION&Recursive=True`. Throws as `get` and
/// `fail_of_status`; kCorruptData when the answer is not ModelScope's.
std::vector<RemoteFile> ask_modelscope(const Asking& asking, const Reference& reference);

/// What the answer says, and how many entries, folders too, it has.
struct ModelScopeFiles {
  std::vector<RemoteFile> files{};  ///< Names that lead elsewhere are left out.
  std::size_t n_entries = 0;
};
/// Throws kCorruptData; kNotFound when it says that there is no such repository or revision.
ModelScopeFiles parse_modelscope_files(const std::string& body, const std::string& repo);

/// Where ModelScope gives a file.
std::string modelscope_file_url(const Asking& asking, const std::string& repo,
                                const std::string& revision, const std::string& path);

}  // namespace openllm::hub
