// Any bytes as a hub's description of a repository, and as what somebody wrote for a model: an
// openllm::Error, or names and files that lead nowhere else.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hub/api.h"
#include "openllm/error.h"

namespace hub = openllm::hub;

namespace {

void parse_description(const std::string& text) {
  const hub::RepoInfo info = hub::parse_repo(text, "a/b");
  if (info.commit.size() != 40 || !hub::is_repo_name(info.repo)) std::abort();
  std::vector<std::string> paths;
  for (const hub::RemoteFile& file : info.files) {
    if (!hub::is_safe_path(file.path) || file.etag().empty()) std::abort();
    paths.push_back(file.path);
  }
  const hub::Selection selection = hub::select_files(paths, {.repo = info.repo});
  if (selection.files.empty()) std::abort();
}

void parse_name(const std::string& text) {
  const auto reference = hub::parse_reference(text, "https://hub.example");
  if (!reference || !reference->url.empty()) return;
  if (!hub::is_repo_name(reference->repo)) std::abort();
  const auto again = hub::parse_reference(reference->text(), "https://hub.example");
  if (!again || again->repo != reference->repo || again->file != reference->file) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    parse_description(text);
  } catch (const openllm::Error&) {
    (void)size;
  }
  try {
    parse_name(text);
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
