#include "hub/renamed.h"

#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random_id.h"
#include "store/import.h"
#include "store/names.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestNote = 256;

fs::path note_of(const fs::path& downloads, const std::string& repo) {
  return downloads / "renamed" / folder_name(repo);
}

}  // namespace

void remember_name(const fs::path& downloads, const std::string& asked, const std::string& now) {
  if (store::same_ignoring_case(asked, now) || !is_repo_name(asked)) return;
  const fs::path note = note_of(downloads, asked);
  const fs::path aside = note.string() + base::random_id(".openllm-");
  std::error_code error;
  fs::create_directories(note.parent_path(), error);
  try {
    store::write_file(aside, now);
    fs::rename(aside, note, error);
  } catch (const Error&) {
    fs::remove(aside, error);
  }
}

Reference with_name_of_today(const fs::path& downloads, const Cache& cache, Reference reference) {
  std::error_code ignored;
  if (!is_repo_name(reference.repo) || fs::exists(cache.repo_folder(reference.repo), ignored))
    return reference;
  const fs::path note = note_of(downloads, reference.repo);
  if (!fs::exists(note, ignored)) return reference;
  try {
    std::string now = base::read_file(note.string(), kLongestNote);
    if (is_repo_name(now)) reference.repo = std::move(now);
  } catch (const Error&) {
    return reference;
  }
  return reference;
}

}  // namespace openllm::hub
