#include "hub/suggest.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"
#include "hub/family_names.h"
#include "hub/reference.h"
#include "openllm/store.h"

namespace openllm::hub {
namespace {

constexpr std::size_t kMost = 3;
constexpr std::size_t kMostRead = 1000;
constexpr std::size_t kLongestName = 200;

/// Without scheme, owner, and what stands behind the name.
std::string_view bare(std::string_view name) {
  if (const std::size_t at = name.find("://"); at != std::string_view::npos)
    name.remove_prefix(at + 3);
  name = name.substr(0, name.find_first_of(":@"));
  return name.substr(name.rfind('/') + 1);
}

/// The letters of a name in lower case, and the digits.
std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) result += static_cast<char>(std::tolower(byte));
  }
  return result;
}

/// Smaller is nearer; nothing for what nobody can have meant.
std::optional<std::size_t> distance(const std::string& wanted, const std::string& name) {
  const std::string a = plain(bare(wanted));
  const std::string b = plain(bare(name));
  if (a.empty() || b.empty() || std::max(wanted.size(), name.size()) > kLongestName)
    return std::nullopt;
  const std::size_t wrong = base::edit_distance(a, b);
  // Of a name that goes on ("qwen3" of "qwen3-0.6b") the rest is no mistake.
  const bool goes_on = a.size() >= 3 && b.starts_with(a);
  if (wrong * 3 > std::max(a.size(), b.size()) && !goes_on) return std::nullopt;
  return wrong * 4 + base::edit_distance(wanted, name);
}

/// What is searched for: the name's first word, for what is wrong is mostly behind it.
std::string word_of(const std::string& wanted) {
  const std::string_view name = bare(wanted);
  constexpr std::size_t kShortest = 3;
  const std::size_t end = name.find_first_of("-_", std::min(kShortest, name.size()));
  return std::string(name.substr(0, std::min(end, kLongestName)));
}

}  // namespace

std::vector<std::string> names_here(const std::vector<HubModel>& models) {
  std::vector<std::string> names = family_names();
  for (const HubModel& model : models) names.push_back(model.id);
  try {
    for (const StoredModel& model : ModelStore().list()) names.push_back(model.name);
  } catch (const Error&) {
    return names;  // there is no store
  }
  return names;
}

std::vector<std::string> near_names(const std::string& wanted,
                                    const std::vector<std::string>& names) {
  std::set<std::pair<std::size_t, std::string>> found;
  for (const std::string& name : names) {
    const auto how_far = name == wanted ? std::nullopt : distance(wanted, name);
    if (how_far) found.emplace(*how_far, name);
  }
  std::vector<std::string> nearest;
  for (const auto& [how_far, name] : found) {
    if (nearest.size() == kMost) break;
    if (std::find(nearest.begin(), nearest.end(), name) == nearest.end()) nearest.push_back(name);
  }
  return nearest;
}

std::vector<std::string> parse_search(const std::string& body) {
  const base::Json json = base::Json::parse(body, "search");
  std::vector<std::string> names;
  for (const base::Json& entry : json.as_array("search")) {
    const base::Json* id = entry.is_object() ? entry.find("id") : nullptr;
    const std::string* name = id == nullptr ? nullptr : id->if_string();
    if (name != nullptr && is_repo_name(*name)) names.push_back(*name);
    if (names.size() == kMostRead) break;
  }
  return names;
}

std::vector<std::string> near_on_hub(const Asking& asking, const std::string& wanted,
                                     std::chrono::milliseconds limit) {
  const std::string word = word_of(wanted);
  if (word.empty()) return {};
  try {
    Asking once = asking;
    once.deadline = std::chrono::steady_clock::now() + limit;
    const net::HttpAnswer answer = get_once(
        once, {base::cat(asking.endpoint, "/api/models?search=", encoded(word), "&limit=50")});
    if (answer.status != 200 || answer.was_ended) return {};
    return near_names(wanted, parse_search(answer.body));
  } catch (const Error&) {
    return {};  // the error that this is about counts
  }
}

std::string did_you_mean(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const char* between = i == 0 ? "; did you mean " : i + 1 == names.size() ? " or " : ", ";
    text += between + names[i];
  }
  return text.empty() ? text : text + "?";
}

}  // namespace openllm::hub
