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
  kJson,           ///< JSON, kept as its text.
  kTexts,          ///< A text, or a list of texts that are not empty.
  kTokenIds,       ///< A list of token ids.
  kTokenIdOrIds,   ///< The same, or one of them.
  kTokenNumbers,   ///< An object from token ids to numbers.
  kTokenLists,     ///< A list of lists of token ids, none of them empty.
  kListNumbers,    ///< A list of pairs: such a list, and a number.
  kLengthDecay,    ///< A list of a length and a factor.
  kEarlyStopping,  ///< `false`, `true` or "never".
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
  kClient = 1U << 4U,       ///< What clients send, where the route has it.
};
constexpr unsigned kOpenAI = kCompletions | kChat;
constexpr unsigned kEverywhere = kCommandLine | kOpenAI | kNative | kClient;

/// Values allowed for a number, or for the count of a list. Infinite bounds leave that side open;
/// values themselves must be finite.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool is_above_min = false;  ///< The minimum itself is not allowed.
  bool is_below_max = false;  ///< The maximum itself is not allowed.
};

using TokenLists = std::vector<std::vector<std::int32_t>>;
using ListNumbers = std::map<std::vector<std::int32_t>, float>;

/// A member of Struct that is, or may be, one of the types.
template <typename Struct, typename... Types>
using MemberOf = std::variant<std::monostate, Types Struct::*...>;

using RequestMember =
    MemberOf<GenerateOptions, bool, int, std::optional<bool>, std::optional<int>,
             std::optional<float>, std::optional<std::uint64_t>,
             std::optional<std::chrono::milliseconds>, CoAwaitSafe<std::string>,
             CoAwaitSafe<std::vector<std::string>>, CoAwaitSafe<std::vector<std::int32_t>>,
             CoAwaitSafe<std::map<std::int32_t, float>>, CoAwaitSafe<TokenLists>,
             CoAwaitSafe<ListNumbers>, std::optional<LengthDecay>, std::optional<EarlyStopping>>;
using ConfigMember =
    MemberOf<LLMConfig, std::optional<bool>, std::optional<int>, std::optional<float>,
             std::optional<std::uint64_t>, std::optional<std::chrono::milliseconds>,
             std::vector<std::string>, std::vector<std::int32_t>, std::map<std::int32_t, float>,
             TokenLists, ListNumbers, std::optional<LengthDecay>, std::optional<EarlyStopping>>;
/// Of the plain structs, which have defaults.
template <typename Struct>
using PlainMemberOf =
    MemberOf<Struct, bool, int, float, std::optional<int>, std::optional<float>,
             std::optional<std::uint64_t>, std::optional<std::chrono::milliseconds>,
             std::vector<std::string>, std::vector<std::int32_t>, std::map<std::int32_t, float>,
             TokenLists, ListNumbers, std::optional<LengthDecay>, EarlyStopping>;
using GenerationMember = PlainMemberOf<GenerationConfig>;
using SamplingMember = PlainMemberOf<SamplingParams>;

/// What vLLM does with a field.
enum class AtVllm {
  kSent,     ///< It has the field.
  kAbove,    ///< Done before or after any backend: not sent.
  kCounted,  ///< Becomes one that it has, once the prompt is known.
  kLacking,  ///< It does not have the field: refused unless it is off.
};

/// A field that this version honours.
struct Field {
  std::string_view name{};    ///< Of the member of GenerateOptions, or of generation_config.json.
  std::string_view openai{};  ///< Its name in OpenAI's bodies, where it has another one.
  /// Its name in GenerationConfig, where it has another one; also one of its names anywhere.
  std::string_view transformers{};
  /// Further names, of other engines for exactly the same, taken wherever `name` is.
  std::array<std::string_view, 4> aliases{};
  /// Its options on the command line, as CLI11 spells them; empty: --name with dashes.
  std::string_view flag{};
  Type type = Type::kBoolean;
  Group group = Group::kSampling;
  unsigned ways = kEverywhere;
  /// Of `ways`, those that read the field by code of their own: it depends on other fields there.
  unsigned by_hand = 0;
  bool is_beside_config = false;  ///< In native bodies beside `llm_config`, where others are in it.
  RequestMember request{};        ///< None: configuration only.
  ConfigMember config{};          ///< None: requests only.
  GenerationMember generation{};  ///< None: transformers has no such field.
  SamplingMember sampling{};      ///< Every row that a configuration may set has one.
  /// Whether models' files may set it, under its name in transformers.
  bool is_in_files = false;
  AtVllm at_vllm = AtVllm::kLacking;
  /// A member that says the same in another way: what sets this field unsets that in the layers
  /// below.
  std::optional<int> LLMConfig::*instead_of = nullptr;
  Range range{};
  std::optional<Range> openai_range{};  ///< Where OpenAI's API allows less.
  std::optional<double> initial{};      ///< Default if no layer of the configuration has one.
  std::optional<bool> in_receipts{};    ///< As `shapes_answers` says; unset: as the group has it.
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
  GenerationMember generation{};
  SamplingMember sampling{};
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
/// read, but that OpenAI's routes want labels to be texts.
struct HarmlessMember {
  std::string_view name{};
  std::string_view why{};
};

/// The rows, in the order of help and documentation.
std::span<const Field> all() noexcept;
std::span<const AbsentField> absent() noexcept;
std::span<const BodyMember> body_members() noexcept;
std::span<const HarmlessMember> harmless() noexcept;

/// Whether the length of the answer is limited, one way or the other.
bool has_length(const GenerateOptions& options) noexcept;
/// The same, by more than the default of the table.
bool has_length(const LLMConfig& config) noexcept;

/// Whether the field may change the answer to a prompt of given tokens. Receipts hold those that
/// may.
bool shapes_answers(const Field& field) noexcept;

/// The names of a row: OpenAI's, its own, that of transformers, and its aliases.
std::vector<std::string_view> names_of(const Field& field);
/// The row that has `name` as its name, OpenAI name or alias; null if there is none.
const Field* find(std::string_view name) noexcept;
const AbsentField* find_absent(std::string_view name) noexcept;
const BodyMember* find_member(std::string_view name) noexcept;
const HarmlessMember* find_harmless(std::string_view name) noexcept;
/// "; did you mean X?", X being the nearest name of a field, absent ones too; empty when none is
/// near. Of an argument for the tokenizer, what `tokenizer_advice` says.
std::string did_you_mean(std::string_view name);
/// What to do instead of an argument that OpenLLM handed to the tokenizer
/// ("_tokenizer_padding_side"); empty for any other name.
std::string_view tokenizer_advice(std::string_view name) noexcept;

/// Its names in transformers, and at vLLM.
std::string_view transformers_name(const Field& field) noexcept;
std::string_view openai_name(const Field& field) noexcept;

const char* to_string(Type type) noexcept;
const char* to_string(Group group) noexcept;
/// "0 to 2", "at least 0", "above 0"; empty for a range without bounds.
std::string to_string(const Range& range);

}  // namespace openllm::fields
