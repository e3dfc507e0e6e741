#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "openllm/options.h"

// The table of request fields: one row for each field, whatever way it comes in. HACKING.md has
// the recipe for a new one.
namespace openllm::fields {

/// Form of a value, in JSON and in words.
enum class Type {
  kBoolean,
  kInteger,
  kSeed,    ///< 64 bits; as JSON a signed integer.
  kNumber,  ///< A float.
  kSeconds,
  kText,
  kJson,          ///< JSON, kept as its text.
  kTexts,         ///< A text, or a list of texts that are not empty.
  kTokenIds,      ///< A list of token ids.
  kTokenNumbers,  ///< An object from token ids to numbers.
};

/// Heading under which a field is listed.
enum class Group { kLength, kSampling, kStop, kOutput, kPrompt, kScheduling };

/// Ways by which a field comes in or goes out, as bits. Configuration and environment are no bits:
/// they take every row with a member in LLMConfig.
enum Way : unsigned {
  kCommandLine = 1U << 0U,
  kCompletions = 1U << 1U,  ///< Bodies of /v1/completions.
  kChat = 1U << 2U,         ///< Bodies of /v1/chat/completions.
  kNative = 1U << 3U,       ///< Bodies of our own routes.
  kClient = 1U << 4U,       ///< What the client sends.
};
constexpr unsigned kOpenAI = kCompletions | kChat;
constexpr unsigned kEverywhere = kCommandLine | kOpenAI | kNative | kClient;

/// Values allowed for a number, or for the count of a list. Infinite bounds leave that side open;
/// values themselves must be finite.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool is_above_min = false;  ///< The minimum itself is not allowed.
};

using RequestMember =
    std::variant<std::monostate, bool GenerateOptions::*, int GenerateOptions::*,
                 std::optional<int> GenerateOptions::*, std::optional<float> GenerateOptions::*,
                 std::optional<std::uint64_t> GenerateOptions::*,
                 std::optional<std::chrono::milliseconds> GenerateOptions::*,
                 CoAwaitSafe<std::string> GenerateOptions::*,
                 CoAwaitSafe<std::vector<std::string>> GenerateOptions::*,
                 CoAwaitSafe<std::vector<std::int32_t>> GenerateOptions::*,
                 CoAwaitSafe<std::map<std::int32_t, float>> GenerateOptions::*>;
using ConfigMember =
    std::variant<std::monostate, std::optional<int> LLMConfig::*, std::optional<float> LLMConfig::*,
                 std::vector<std::int32_t> LLMConfig::*>;

/// A field that this version honours.
struct Field {
  std::string_view name{};    ///< Of the member of GenerateOptions, or of generation_config.json.
  std::string_view openai{};  ///< Its name in OpenAI's bodies, where it has another one.
  /// Further names, of other engines for exactly the same, taken wherever `name` is.
  std::array<std::string_view, 4> aliases{};
  /// Its options on the command line, as CLI11 spells them; empty: --name with dashes.
  std::string_view flag{};
  Type type = Type::kBoolean;
  Group group = Group::kSampling;
  unsigned ways = kEverywhere;
  /// Of `ways`, those that read the field by code of their own: it depends on other fields there.
  unsigned by_hand = 0;
  RequestMember request{};  ///< None: configuration only.
  ConfigMember config{};    ///< None: requests only.
  Range range{};
  std::optional<Range> openai_range{};  ///< Where OpenAI's API allows less.
  std::optional<double> initial{};      ///< Default if no layer of the configuration has one.
  std::string_view help{};
  std::string_view flag_help{};  ///< Of an option that takes the field back; it begins with '!'.
};

/// A field that is known from other engines and that this version cannot honour. Never ignored:
/// its neutral values are accepted, all others are kUnsupported.
struct AbsentField {
  std::string_view name{};
  std::string_view neutral{};       ///< As JSON; null is always neutral.
  std::string_view also_neutral{};  ///< As JSON; empty: none.
  std::string_view advice{};        ///< What does nearly the same; empty: nothing.
  bool is_option = true;  ///< Also known on the command line; others are of HTTP bodies alone.
};

/// A member of HTTP bodies that is no option of generation, or that a dialect reads by hand.
/// Members of objects within a body have the object's name before them:
/// "stream_options.include_usage".
struct BodyMember {
  std::string_view name{};
  unsigned ways = 0;           ///< Where it is read. Elsewhere it is refused,
  std::string_view neutral{};  ///< but for this value, as JSON, and null.
  std::string_view help{};
};

/// A member of HTTP bodies that cannot change an answer of this server, whatever its value: not
/// read.
struct HarmlessMember {
  std::string_view name{};
  std::string_view why{};
};

/// The rows, in the order of help and documentation.
std::span<const Field> all() noexcept;
std::span<const AbsentField> absent() noexcept;
std::span<const BodyMember> body_members() noexcept;
std::span<const HarmlessMember> harmless() noexcept;

/// The names of a row: OpenAI's, its own, and its aliases.
std::vector<std::string_view> names_of(const Field& field);
/// The row that has `name` as its name, OpenAI name or alias; null if there is none.
const Field* find(std::string_view name) noexcept;
const AbsentField* find_absent(std::string_view name) noexcept;
const BodyMember* find_member(std::string_view name) noexcept;
const HarmlessMember* find_harmless(std::string_view name) noexcept;
/// "; did you mean X?", X being the nearest name of a field, absent ones too; empty when none is
/// near.
std::string did_you_mean(std::string_view name);

const char* to_string(Type type) noexcept;
const char* to_string(Group group) noexcept;
/// "0 to 2", "at least 0", "above 0"; empty for a range without bounds.
std::string to_string(const Range& range);

}  // namespace openllm::fields
