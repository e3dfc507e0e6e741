#include "backend/pt/python.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace openllm::backend::pt {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 2> kPackages{"torch", "transformers"};
constexpr std::array<const char*, 1> kPeft{"peft"};
constexpr std::size_t kMaxLines = 1000;  // of a small text file

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ':');)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

std::vector<std::string> read_lines(const fs::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; lines.size() < kMaxLines && std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool is_program(const std::string& path) {
  std::error_code none;
  return fs::is_regular_file(path, none) && ::access(path.c_str(), X_OK) == 0;
}

/// Empty when PATH has none.
std::string find_program(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) return is_program(name) ? name : std::string();
  for (const std::string& folder : split(path)) {
    std::string candidate = base::cat(folder, "/", name);
    if (is_program(candidate)) return candidate;
  }
  return {};
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    entries.push_back(it->path());
  return entries;
}

/// PREFIX/lib/python3.11/site-packages and its like.
void add_folders_of(const fs::path& prefix, std::vector<fs::path>& folders) {
  for (const char* lib : {"lib", "lib64", "local/lib"}) {
    for (const fs::path& entry : entries_of(prefix / lib)) {
      if (!entry.filename().string().starts_with("python3")) continue;
      folders.push_back(entry / "site-packages");
      folders.push_back(entry / "dist-packages");
    }
  }
}

/// A virtual environment has its own packages, and those of its base if it says so.
std::vector<fs::path> package_folders(const fs::path& python, const PythonSearch& search) {
  std::vector<fs::path> folders;
  for (const std::string& folder : split(search.python_path)) folders.emplace_back(folder);
  std::error_code error;
  const fs::path absolute = fs::absolute(python, error);
  const fs::path prefix = absolute.parent_path().parent_path();
  add_folders_of(prefix, folders);
  const fs::path settings = prefix / "pyvenv.cfg";
  if (fs::exists(settings, error)) {
    bool has_base = false;
    for (const std::string& line : read_lines(settings)) {
      if (line.starts_with("include-system-site-packages") && line.ends_with("true"))
        has_base = true;
    }
    if (!has_base) return folders;
  }
  const fs::path real = fs::canonical(absolute, error);
  if (!error) add_folders_of(real.parent_path().parent_path(), folders);
  if (!search.home.empty()) add_folders_of(fs::path(search.home) / ".local", folders);
  return folders;
}

/// Also folders that a .pth file of these adds.
void add_linked_folders(std::vector<fs::path>& folders) {
  const std::size_t n = folders.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (const fs::path& entry : entries_of(folders[i])) {
      if (entry.extension() != ".pth") continue;
      for (const std::string& line : read_lines(entry))
        if (line.starts_with("/")) folders.emplace_back(line);
    }
  }
}

bool has_package(const std::vector<fs::path>& folders, const std::string& name) {
  std::error_code none;
  for (const fs::path& folder : folders)
    if (fs::exists(folder / name / "__init__.py", none)) return true;
  return false;
}

bool is_script(const std::string& path) {
  std::array<char, 2> head{};
  std::ifstream(path, std::ios::binary).read(head.data(), head.size());
  return head[0] == '#' && head[1] == '!';
}

void require_all(const std::string& python, const PythonSearch& search,
                 std::span<const char* const> packages, const char* to_install) {
  std::vector<fs::path> folders = package_folders(python, search);
  add_linked_folders(folders);
  for (const char* package : packages) {
    if (has_package(folders, package) || is_script(python)) continue;
    base::fail(ErrorCode::kUnavailable, python, ": the Python package ", package,
               " is not installed (", python, " -m pip install ", to_install, ")");
  }
}

}  // namespace

PythonSearch PythonSearch::of_environment() {
  return {variable("PATH"), variable("PYTHONPATH"), variable("HOME"), variable("OPENLLM_PYTHON")};
}

std::string find_python(const PtOptions& options, const PythonSearch& search) {
  const char* who = !options.python.empty()  ? "pt.python"
                    : !search.python.empty() ? "OPENLLM_PYTHON"
                                             : "python3";
  const std::string name = !options.python.empty()  ? options.python
                           : !search.python.empty() ? search.python
                                                    : "python3";
  std::string found = find_program(name, search.path);
  if (!found.empty()) return found;
  if (name == who)
    base::fail(ErrorCode::kUnavailable,
               "python3: not found in PATH (OPENLLM_PYTHON names another "
               "interpreter that has torch and transformers)");
  base::fail_at(ErrorCode::kUnavailable, who, "no such program (got ", name, ")");
}

void require_packages(const std::string& python, const PythonSearch& search) {
  require_all(python, search, kPackages, "torch transformers");
}

void require_peft(const std::string& python, const PythonSearch& search) {
  require_all(python, search, kPeft, "peft");
}

}  // namespace openllm::backend::pt
