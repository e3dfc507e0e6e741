#include "store/names.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "format/locate.h"

namespace openllm::store {
namespace {

constexpr std::size_t kMaxPart = 96;

bool is_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool is_name_part(std::string_view part) noexcept {
  if (part.empty() || part.size() > kMaxPart || !is_alnum(part.front())) return false;
  if (part.find("..") != std::string_view::npos) return false;
  return std::all_of(part.begin(), part.end(),
                     [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_name(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_name_part(text);
  return is_name_part(text.substr(0, slash)) && is_name_part(text.substr(slash + 1));
}

bool is_path(std::string_view model) noexcept {
  if (model.find("://") != std::string_view::npos) return false;
  return model.starts_with('.') || model.starts_with('/') || model.starts_with('~') ||
         format::has_gguf_ending(model);
}

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || !(path == "~" || path.starts_with("~/"))) return path;
  return home + path.substr(1);
}

ModelName parse_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  ModelName result;
  if (slash != std::string_view::npos) result.owner = text.substr(0, slash);
  result.name = text.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (is_name(text)) return result;
  base::fail_with(
      ErrorCode::kInvalidArgument, {"name"},
      "model name: expected NAME or OWNER/NAME of letters, digits, '.', '_' and '-', got \"",
      text.substr(0, 2 * kMaxPart), "\"");
}

void check_version(std::string_view version) {
  if (is_name_part(version)) return;
  base::fail_with(ErrorCode::kInvalidArgument, {"version"},
                  "model version: expected letters, digits, '.', '_' and '-', got \"",
                  version.substr(0, kMaxPart), "\"");
}

std::string name_in_tag(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '/') {
      out += "--";
    } else {
      out += c == '_' ? '-' : lower(c);
    }
  }
  return out;
}

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

void fail_ambiguous(std::string_view wanted, const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : " or ") + name;
  base::fail_at(ErrorCode::kInvalidArgument, "model",
                "is ambiguous, for names differ in letter case only (expected ", list, ", got ",
                wanted, ")");
}

namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : text) {
    if (is_alnum(c)) {
      if (!inside) words.emplace_back();
      words.back() += lower(c);
    }
    inside = is_alnum(c);
  }
  return words;
}

}  // namespace

std::optional<std::string> containing(std::string_view wanted,
                                      const std::vector<std::string>& names) {
  const std::vector<std::string> words = words_of(wanted);
  const bool has_word =
      std::any_of(words.begin(), words.end(), [](const auto& word) { return word.size() > 1; });
  if (!has_word) return std::nullopt;
  const std::string* best = nullptr;
  for (const std::string& name : names) {
    std::string letters;
    for (const std::string& word : words_of(name)) letters += word;
    const bool has_all = std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return letters.find(word) != std::string::npos;
    });
    if (has_all && (best == nullptr || name.size() < best->size())) best = &name;
  }
  if (best != nullptr) return *best;
  const std::size_t slash = wanted.find('/');
  return slash == std::string_view::npos ? std::nullopt
                                         : containing(wanted.substr(slash + 1), names);
}

}  // namespace openllm::store
