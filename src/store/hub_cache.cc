#include "store/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/error.h"
#include "base/mapped_file.h"
#include "store/names.h"

namespace openllm::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";
constexpr std::size_t kFewestDigits = 7;
constexpr std::size_t kLongestRef = 4096;
constexpr std::size_t kLongestRepo = 96;
constexpr std::size_t kLongestPath = 1024;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_word(char c) noexcept {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}

bool is_repo_part(std::string_view part) noexcept {
  if (part.empty() || !std::all_of(part.begin(), part.end(), is_word)) return false;
  const auto is_edge = [](char c) { return c == '-' || c == '.'; };
  return !is_edge(part.front()) && !is_edge(part.back());
}

bool has_snapshots(const fs::path& repo_folder) {
  std::error_code ignored;
  return fs::is_directory(repo_folder / "snapshots", ignored);
}

[[noreturn]] void fail_revision(const fs::path& repo_folder, const std::string& revision) {
  std::string list;
  for (const std::string& commit : commits_in(repo_folder))
    list += (list.empty() ? "" : ", ") + commit;
  base::fail_at(ErrorCode::kNotFound, repo_folder.string(), "has no files of ",
                revision.empty() ? "its main branch" : "revision " + revision, " (expected one of ",
                list.empty() ? "none, for nothing is there" : list, ")");
}

}  // namespace

fs::path hub_home() {
  if (const std::string home = variable("HF_HOME"); !home.empty()) return expand_home(home);
  if (const fs::path cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return cache / "huggingface";
  const fs::path home = variable("HOME");
  return home.empty() ? home : home / ".cache" / "huggingface";
}

fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string cache = variable(name); !cache.empty()) return expand_home(cache);
  }
  const fs::path home = hub_home();
  return home.empty() ? home : home / "hub";
}

bool is_repo_name(std::string_view text) noexcept {
  if (text.size() > kLongestRepo || text.find("--") != std::string_view::npos ||
      text.find("..") != std::string_view::npos || text.ends_with(".git"))
    return false;
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_repo_part(text);
  return is_repo_part(text.substr(0, slash)) && is_repo_part(text.substr(slash + 1));
}

bool is_safe_path(std::string_view text) noexcept {
  if (text.empty() || text.size() > kLongestPath || text.ends_with('/')) return false;
  const auto is_bad = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\' || c == '?' || c == '#';
  };
  if (std::any_of(text.begin(), text.end(), is_bad)) return false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('/'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

bool is_hex(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string repo_folder_name(std::string_view repo) {
  std::string name = base::cat(kPrefix, repo);
  if (const std::size_t slash = name.find('/'); slash != std::string::npos)
    name.replace(slash, 1, "--");
  return name;
}

std::string repo_of_folder(std::string folder) {
  if (!folder.starts_with(kPrefix)) return {};
  folder.erase(0, kPrefix.size());
  if (const std::size_t mark = folder.find("--"); mark != std::string::npos)
    folder.replace(mark, 2, "/");
  return is_repo_name(folder) ? folder : std::string();
}

std::optional<std::string> find_repo(const fs::path& cache, const std::string& repo) {
  if (!is_repo_name(repo)) return std::nullopt;
  if (has_snapshots(cache / repo_folder_name(repo))) return repo;
  std::vector<std::string> found;
  for (const std::string& folder : names_in(cache)) {
    const std::string known = repo_of_folder(folder);
    if (!known.empty() && same_ignoring_case(known, repo) && has_snapshots(cache / folder))
      found.push_back(known);
  }
  if (found.size() > 1) fail_ambiguous(repo, found);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::string read_ref(const fs::path& path) {
  std::string text;
  try {
    text = base::read_file(path.string(), kLongestRef, "ref");
  } catch (const Error&) {
    return {};
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.pop_back();
  return text.size() == kCommitDigits && is_hex(text) ? text : std::string();
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name.find(".openllm-") == std::string::npos) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> commits_in(const fs::path& repo_folder) {
  std::vector<std::string> commits;
  for (std::string& name : names_in(repo_folder / "snapshots")) {
    if (name.size() == kCommitDigits && is_hex(name)) commits.push_back(std::move(name));
  }
  return commits;
}

std::optional<std::string> commit_of(const fs::path& repo_folder, std::string_view revision) {
  const std::string_view name = revision.empty() ? "main" : revision;
  if (!is_safe_path(name)) return std::nullopt;
  const std::string named = read_ref(repo_folder / "refs" / name);
  std::error_code ignored;
  // huggingface_hub says what main is before it fetches that; until then it is what is here.
  const bool is_here = fs::is_directory(repo_folder / "snapshots" / named, ignored);
  if (!named.empty() && (is_here || !revision.empty())) return named;
  if (!revision.empty() && (revision.size() < kFewestDigits || !is_hex(revision)))
    return std::nullopt;
  std::optional<std::string> found;
  for (const std::string& commit : commits_in(repo_folder)) {
    if (!commit.starts_with(revision)) continue;
    if (found) return std::nullopt;  // two begin like that
    found = commit;
  }
  return found;
}

std::optional<HubSnapshot> open_snapshot(const fs::path& path, const std::string& revision) {
  std::error_code ignored;
  fs::path folder = fs::absolute(path, ignored).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "models--a--b/"
  if (std::string id = repo_of_folder(folder.filename().string());
      !id.empty() && has_snapshots(folder)) {
    const std::optional<std::string> commit = commit_of(folder, revision);
    if (!commit || !fs::is_directory(folder / "snapshots" / *commit, ignored))
      fail_revision(folder, revision);
    return HubSnapshot{std::move(id), *commit, folder / "snapshots" / *commit};
  }
  const fs::path snapshots = folder.parent_path();
  std::string id = repo_of_folder(snapshots.parent_path().filename().string());
  if (id.empty() || snapshots.filename() != "snapshots") return std::nullopt;
  return HubSnapshot{std::move(id), folder.filename().string(), folder};
}

std::optional<HubSnapshot> find_snapshot(const std::string& id, const std::string& revision) {
  const fs::path cache = hub_cache();
  const auto repo = cache.empty() ? std::nullopt : find_repo(cache, id);
  if (!repo) return std::nullopt;
  return open_snapshot(cache / repo_folder_name(*repo), revision);
}

}  // namespace openllm::store
