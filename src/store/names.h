#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::store {

/// A model's name in the store: "owner/name", or "name" alone (then `owner` is empty).
struct ModelName {
  std::string owner{};
  std::string name{};
  std::string full() const { return owner.empty() ? name : owner + "/" + name; }
};

/// Splits and checks a name. Each part is 1 to 96 characters of [A-Za-z0-9._-], begins with a
/// letter or digit and does not contain "..", so a name can never lead out of the store. Throws
/// kInvalidArgument.
ModelName parse_name(std::string_view text);
/// Checks a version by the same rules as one part of a name. Throws kInvalidArgument.
void check_version(std::string_view version);
/// False instead of an exception.
bool is_name_part(std::string_view part) noexcept;

/// Whether a model can be called so.
bool is_name(std::string_view text) noexcept;

/// What is meant by a string is decided by its form: one that begins with '.', '/' or '~' or ends
/// in ".gguf" is a path, any other a name.
bool is_path(std::string_view model) noexcept;
/// The path with $HOME for a "~" at its beginning.
std::string expand_home(const std::string& path);

/// The name as it stands in a tag ("native-owner--name:version", LLM::tag): lower case, "--" for
/// the slash.
std::string name_in_tag(std::string_view name);

/// Same letters, whatever their case (ASCII).
bool same_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Throws kInvalidArgument: what somebody wrote may mean any of these models, whose names differ in
/// letter case only.
[[noreturn]] void fail_ambiguous(std::string_view wanted, const std::vector<std::string>& names);

/// The shortest of `names` that has all words of `wanted` in it, letter case and what stands
/// between letters and digits ignored; if there is none, the same without the owner of `wanted`.
/// Nothing when `wanted` has no word of at least two characters.
std::optional<std::string> containing(std::string_view wanted,
                                      const std::vector<std::string>& names);

}  // namespace openllm::store
