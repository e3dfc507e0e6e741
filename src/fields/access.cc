#include "fields/access.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "base/error.h"

namespace openllm::fields {
namespace {

using Milliseconds = std::chrono::milliseconds;
using Texts = std::vector<std::string>;
using TokenIds = std::vector<std::int32_t>;
using TokenNumbers = std::map<std::int32_t, float>;
constexpr double kMaxInt = std::numeric_limits<int>::max();

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

/// Calls `use` with the member that the row names; nothing if it names none.
template <typename Struct, typename Member, typename Use>
void with_member(Struct& object, const Member& member, const Use& use) {
  std::visit(
      [&](const auto& pointer) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(pointer)>, std::monostate>)
          use(object.*pointer);
      },
      member);
}

// --- to JSON ---

base::Json to_json(const Field& /*field*/, bool value) { return value; }
base::Json to_json(const Field& /*field*/, int value) { return value; }
/// The shortest number that is this float, so that 0.7 is not 0.699999988.
base::Json to_json(const Field& /*field*/, float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double number = static_cast<double>(value);
  std::from_chars(text.data(), end, number);
  return number;
}
base::Json to_json(const Field& /*field*/, std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}
base::Json to_json(const Field& /*field*/, Milliseconds value) {
  return static_cast<double>(value.count()) / 1e3;
}
base::Json to_json(const Field& field, const std::string& value) {
  if (value.empty()) return {};
  return field.type == Type::kJson ? base::Json::parse(value, field.name) : base::Json(value);
}
base::Json to_json(const Field& /*field*/, const Texts& value) {
  base::Json list;
  for (const std::string& text : value) list.push_back(text);
  return list;
}
base::Json to_json(const Field& /*field*/, const TokenIds& value) {
  base::Json list;
  for (const std::int32_t id : value) list.push_back(id);
  return list;
}
base::Json to_json(const Field& field, const TokenNumbers& value) {
  base::Json object;
  for (const auto& [id, number] : value) object[std::to_string(id)] = to_json(field, number);
  return object;
}
base::Json to_json(const Field& field, const LengthDecay& value) {
  base::Json pair;
  pair.push_back(value.start);
  pair.push_back(to_json(field, value.factor));
  return pair;
}
base::Json to_json(const Field& /*field*/, EarlyStopping value) {
  if (value == EarlyStopping::kNever) return "never";
  return value == EarlyStopping::kTrue;
}
base::Json to_json(const Field& field, const TokenLists& value) {
  base::Json list;
  for (const TokenIds& ids : value) list.push_back(to_json(field, ids));
  return list;
}
base::Json to_json(const Field& field, const ListNumbers& value) {
  base::Json list;
  for (const auto& [ids, number] : value) {
    base::Json pair;
    pair.push_back(to_json(field, ids));
    pair.push_back(to_json(field, number));
    list.push_back(std::move(pair));
  }
  return list;
}
template <typename T>
base::Json to_json(const Field& field, const std::optional<T>& value) {
  return value ? to_json(field, *value) : base::Json();
}

template <typename Struct, typename Member>
base::Json member_json(const Field& field, const Struct& object, const Member& member) {
  base::Json json;
  with_member(object, member, [&](const auto& value) { json = to_json(field, value); });
  return json;
}

// --- from JSON ---

struct Source {
  Type type;
  const base::Json& json;
  std::string_view where;
  const Range& range;
  TextNumbers* texts = nullptr;
};

void read(const Source& from, bool& to) { to = read_boolean(from.json, from.where); }
void read(const Source& from, int& to) { to = read_integer(from.json, from.where, from.range); }
void read(const Source& from, float& to) {
  to = static_cast<float>(read_number(from.json, from.where, from.range));
}
void read(const Source& from, std::uint64_t& to) {
  using Limits = std::numeric_limits<std::int64_t>;
  to =
      static_cast<std::uint64_t>(read_integer(from.json, from.where, Limits::min(), Limits::max()));
}
void read(const Source& from, Milliseconds& to) {
  constexpr double kForever = 1e12;  // so that milliseconds fit
  const double seconds = std::min(kForever, read_number(from.json, from.where, from.range));
  to = Milliseconds(std::max<std::int64_t>(1, std::llround(seconds * 1e3)));
}
void read(const Source& from, std::string& to) {
  to = from.type == Type::kJson ? from.json.dump() : read_text(from.json, from.where, from.range);
}
void read(const Source& from, Texts& to) {
  to = read_texts(from.json, from.where, from.range);
  for (const std::string& text : to) {
    if (text.empty()) fail_value(from.where, "texts that are not empty", "an empty text");
  }
}
void read(const Source& from, TokenIds& to) {
  if (from.type == Type::kTokenIdOrIds && !from.json.is_array()) {
    to = {read_integer(from.json, from.where, {.min = 0, .max = kMaxInt})};
  } else {
    to = read_token_ids(from.json, from.where, from.range);
  }
}
void read(const Source& from, TokenLists& to) {
  to = read_token_lists(from.json, from.where, from.range);
}
void read(const Source& from, ListNumbers& to) {
  to = read_list_numbers(from.json, from.where, from.range);
}
void read(const Source& from, LengthDecay& to) { to = read_length_decay(from.json, from.where); }
void read(const Source& from, EarlyStopping& to) {
  to = read_early_stopping(from.json, from.where);
}
void read(const Source& from, TokenNumbers& to) {
  to = read_token_numbers(from.json, from.where, from.range, from.texts);
}
template <typename T>
void read(const Source& from, std::optional<T>& to) {
  T value{};
  read(from, value);
  to = value;
}

/// Models' files have one id or a list of those that end a text, and some have -1 for none.
void read_model_ids(const Source& from, TokenIds& to) {
  if (from.type != Type::kTokenIdOrIds) return read(from, to);
  if (!from.json.is_array()) {
    to = {read_integer(from.json, from.where, Range{})};
    return;
  }
  to.clear();
  for (const base::Json& item : *from.json.if_array())
    to.push_back(read_integer(item, from.where, Range{}));
}

// --- checks ---

struct Check {
  std::string_view where;
  const Range& range;

  void number(double value) const { check_number(value, where, range, base::cat(value)); }
  void operator()(int value) const { check_number(value, where, range, base::cat(value)); }
  void operator()(float value) const {
    check_number(static_cast<double>(value), where, range, base::cat(value));
  }
  void operator()(Milliseconds value) const { number(static_cast<double>(value.count()) / 1e3); }
  void operator()(const Texts& value) const {
    for (const std::string& text : value) {
      if (text.empty()) fail_value(where, "texts that are not empty", "an empty text");
    }
  }
  void operator()(const TokenNumbers& value) const {
    for (const auto& [id, bias] : value) (*this)(bias);
  }
  void operator()(const TokenLists& value) const {
    for (const TokenIds& ids : value) run(ids);
  }
  void operator()(const ListNumbers& value) const {
    for (const auto& [ids, number_of_them] : value) {
      run(ids);
      (*this)(number_of_them);
    }
  }
  void operator()(const LengthDecay& value) const {
    if (value.start >= 0 && std::isfinite(value.factor) && value.factor > 0.0F) return;
    fail_value(where, "a length of at least 0 and a factor above 0",
               base::cat(value.start, " and ", value.factor));
  }
  void run(const TokenIds& ids) const {
    if (ids.empty()) fail_value(where, "lists that are not empty", "an empty list");
  }
  template <typename T>
  void operator()(const std::optional<T>& value) const {
    if (value) (*this)(*value);
  }
  void operator()(bool /*value*/) const {}
  void operator()(EarlyStopping /*value*/) const {}
  void operator()(std::uint64_t /*value*/) const {}
  void operator()(const std::string& /*value*/) const {}
  void operator()(const TokenIds& /*value*/) const {}
};

template <typename T>
bool is_set(const std::optional<T>& value) noexcept {
  return value.has_value();
}
template <typename List>
bool is_set(const List& value) noexcept {
  return !value.empty();
}

/// Whether the field has a value in a layer.
template <typename Struct, typename Member>
bool is_member_set(const Struct& layer, const Member& member) {
  bool result = false;
  with_member(layer, member, [&](const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (!std::is_arithmetic_v<Value>) result = is_set(value);
  });
  return result;
}

// --- what is taken back ---

std::string_view none_text(const Field& field) noexcept {
  switch (field.type) {
    case Type::kBoolean:
    case Type::kSeed:
      return "";
    case Type::kTexts:
    case Type::kTokenIds:
    case Type::kTokenIdOrIds:
    case Type::kTokenLists:
    case Type::kListNumbers:
      return field.range.min > 0 ? "false" : "[]";
    case Type::kTokenNumbers:
      return "{}";
    default:
      return field.initial ? "" : "false";
  }
}

template <typename Names>
bool has_name(const Names& names, const Field& field) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return find(name) == &field; });
}

template <typename Names>
void remove_name(Names& names, const Field& field) {
  std::erase_if(static_cast<std::vector<std::string>&>(names),
                [&](const std::string& name) { return find(name) == &field; });
}

template <typename Names>
void add_name(Names& names, const Field& field) {
  if (!has_name(names, field)) names.emplace_back(field.name);
}

template <typename Struct, typename Member>
void unset(Struct& object, const Member& member) {
  with_member(object, member, [](auto& value) { value = std::decay_t<decltype(value)>{}; });
}

/// Reads the member by `read_into`, unless the value clears it.
template <typename Struct, typename Member, typename Read>
void set_or_clear(const Field& field, Struct& object, const Member& member, const base::Json& value,
                  const Read& read_into) {
  remove_name(object.cleared, field);
  const base::Json none = none_of(field);
  if (none.is_bool() && value == none) {
    unset(object, member);
    add_name(object.cleared, field);
    return;
  }
  with_member(object, member, read_into);
  if (!none.is_null() && !is_member_set(object, member)) add_name(object.cleared, field);
}

/// The member's JSON, or what says that it is cleared.
template <typename Struct, typename Member>
base::Json json_or_none(const Field& field, const Struct& object, const Member& member) {
  base::Json json = member_json(field, object, member);
  const bool is_cleared =
      json.is_null() && !object.cleared.empty() && has_name(object.cleared, field);
  if (!is_cleared) return json;
  if (base::Json none = none_of(field); !none.is_null()) return none;
  return field.type == Type::kSeed ? base::Json(-1) : get(field, initial_config());
}

void check_names(const std::vector<std::string>& cleared, std::string_view where) {
  for (const std::string& name : cleared) {
    const Field* field = find(name);
    if (field != nullptr && has_config(*field)) continue;
    const std::string place = where.empty() ? "cleared" : base::cat(where, ": cleared");
    base::fail_with(ErrorCode::kInvalidArgument, {"cleared", ErrorReason::kUnknownField}, place,
                    ": no configuration has this field (got ", name, ")", did_you_mean(name));
  }
}

/// As the table has it, and so that the layers below a patch do not count either.
void clear_all(LLMConfig& config, const std::vector<std::string>& names) {
  if (names.empty()) return;
  const LLMConfig initial = initial_config();
  for (const Field& field : all()) {
    if (!has_config(field) || !has_name(names, field)) continue;
    std::visit(
        Overloaded{[](std::monostate) {}, [&](auto member) { config.*member = initial.*member; }},
        field.config);
    if (!is_member_set(config, field.config)) add_name(config.cleared, field);
  }
}

// --- from one struct to another ---

template <typename T>
struct ValueOf {
  using type = T;
};
template <typename T>
struct ValueOf<std::optional<T>> {
  using type = T;
};
template <typename T>
struct ValueOf<CoAwaitSafe<T>> {
  using type = T;
};

/// What is unset leaves `to` as it is.
template <typename To, typename From>
void assign(To& to, const From& from) {
  if constexpr (std::is_same_v<From, std::optional<typename ValueOf<From>::type>>) {
    if (from) assign(to, *from);
  } else if constexpr (std::is_same_v<typename ValueOf<To>::type, typename ValueOf<From>::type>) {
    to = from;
  } else {
    base::check(false, "fields: the members of a row differ in type");
  }
}

template <typename To, typename ToMember, typename From, typename FromMember>
void assign(To& to, const ToMember& to_member, const From& from, const FromMember& from_member) {
  with_member(from, from_member, [&](const auto& value) {
    with_member(to, to_member, [&](auto& target) { assign(target, value); });
  });
}

/// Two fields that say the same in different ways: the layer above decides, and in one layer the
/// first of them.
template <typename Layer, typename MemberOf>
void unset_others(LLMConfig& config, const Layer& over, MemberOf member_of) {
  for (const Field& field : all()) {
    if (field.instead_of != nullptr && is_member_set(over, member_of(field)) &&
        is_member_set(config, field.config))
      config.*field.instead_of = std::nullopt;
  }
}

/// The row that says the same in another way; null if `config` does not have both.
const Field* said_twice(const Field& field, const LLMConfig& config) {
  if (field.instead_of == nullptr || !is_member_set(config, field.config)) return nullptr;
  for (const Field& other : all()) {
    const auto* member = std::get_if<std::optional<int> LLMConfig::*>(&other.config);
    if (member != nullptr && *member == field.instead_of)
      return is_member_set(config, other.config) ? &other : nullptr;
  }
  return nullptr;
}

}  // namespace

base::Json get(const Field& field, const GenerateOptions& options) {
  return json_or_none(field, options, field.request);
}
base::Json get(const Field& field, const LLMConfig& config) {
  return json_or_none(field, config, field.config);
}

base::Json none_of(const Field& field) {
  const std::string_view text = has_config(field) ? none_text(field) : "";
  return text.empty() ? base::Json() : base::Json::parse(text, field.name);
}

void clear(const Field& field, GenerateOptions& options) {
  unset(options, field.request);
  add_name(options.cleared, field);
}
void clear(const Field& field, LLMConfig& config) {
  unset(config, field.config);
  add_name(config.cleared, field);
}

void set(const Field& field, GenerateOptions& options, const base::Json& value,
         std::string_view where, const Range& range, TextNumbers* texts) {
  const Source source{field.type, value, where, range, texts};
  set_or_clear(field, options, field.request, value, [&](auto& member) { read(source, member); });
}

void set(const Field& field, LLMConfig& config, const base::Json& value, std::string_view where) {
  const Source source{field.type, value, where, field.range};
  set_or_clear(field, config, field.config, value,
               Overloaded{[&](auto& member) { read(source, member); },
                          [&](TokenIds& ids) { read_model_ids(source, ids); }});
}

base::Json get(const AbsentField& field, const GenerationConfig& config) {
  return member_json({.name = field.name}, config, field.generation);
}
base::Json get(const AbsentField& field, const SamplingParams& params) {
  return member_json({.name = field.name}, params, field.sampling);
}

void check_without_messages(const GenerateOptions& options) {
  const GenerateOptions nothing;
  for (const Field& field : all()) {
    if ((field.ways & kOpenAI) != kChat || get(field, options) == get(field, nothing)) continue;
    base::fail_at(ErrorCode::kInvalidArgument, field.name,
                  "is for messages, which the prompt is not (expected a list of messages)");
  }
}

bool has_generation(const Field& field) noexcept { return field.generation.index() != 0; }
bool has_request(const Field& field) noexcept { return field.request.index() != 0; }
bool has_config(const Field& field) noexcept { return field.config.index() != 0; }

void check(const LLMConfig& config, std::string_view where) {
  for (const Field& field : all()) {
    const std::string place =
        where.empty() ? std::string(field.name) : base::cat(where, ": ", field.name);
    with_member(config, field.config, Check{place, field.range});
  }
  check_names(config.cleared, where);
  check_one_way(config, where);
}

void check(const GenerateOptions& options) {
  for (const Field& field : all())
    with_member(options, field.request, Check{field.name, field.range});
  check_names(options.cleared, "");
}

void check_one_way(const LLMConfig& config, std::string_view where) {
  for (const Field& field : all()) {
    const Field* other = said_twice(field, config);
    if (other == nullptr) continue;
    const std::string place =
        where.empty() ? std::string(other->name) : base::cat(where, ": ", other->name);
    base::fail_with(ErrorCode::kInvalidArgument, {other->name}, place, ": given beside ",
                    field.name, " (expected one of the two)");
  }
}

void keep_one_way(LLMConfig& config) {
  for (const Field& field : all()) {
    if (said_twice(field, config) != nullptr) config.*field.instead_of = std::nullopt;
  }
}

base::Json to_json(const LLMConfig& config) {
  base::Json json = base::Json::object();
  for (const Field& field : all()) {
    base::Json value = get(field, config);
    if (!value.is_null()) json[field.name] = std::move(value);
  }
  return json;
}

void merge(LLMConfig& config, const LLMConfig& over) {
  clear_all(config, over.cleared);
  for (const Field& field : all()) {
    std::visit(Overloaded{[](std::monostate) {},
                          [&](auto member) {
                            if (is_set(over.*member)) config.*member = over.*member;
                          }},
               field.config);
    if (!config.cleared.empty() && is_member_set(over, field.config))
      remove_name(config.cleared, field);
  }
  unset_others(config, over, [](const Field& field) { return field.config; });
}

void merge(LLMConfig& config, const GenerateOptions& over) {
  clear_all(config, over.cleared);
  for (const Field& field : all()) {
    std::visit(Overloaded{[](auto, auto) {},  // the request or the configuration lacks it
                          [&]<typename T>(std::optional<T> LLMConfig::*to,
                                          std::optional<T> GenerateOptions::*from) {
                            if (over.*from) config.*to = over.*from;
                          },
                          [&]<typename T>(T LLMConfig::*to, CoAwaitSafe<T> GenerateOptions::*from) {
                            if (!(over.*from).empty()) config.*to = over.*from;
                          }},
               field.config, field.request);
    if (!config.cleared.empty() && is_member_set(over, field.request))
      remove_name(config.cleared, field);
  }
  unset_others(config, over, [](const Field& field) { return field.request; });
}

LLMConfig initial_config() {
  LLMConfig config;
  for (const Field& field : all()) {
    if (!field.initial) continue;
    base::Json value(static_cast<std::int64_t>(*field.initial));
    if (field.type == Type::kNumber) value = *field.initial;
    if (field.type == Type::kBoolean || field.type == Type::kEarlyStopping)
      value = *field.initial != 0;
    set(field, config, value, field.name);
  }
  return config;
}

void assign(GenerationConfig& to, const LLMConfig& from) {
  for (const Field& field : all()) assign(to, field.generation, from, field.config);
}
void assign(SamplingParams& to, const LLMConfig& from) {
  for (const Field& field : all()) assign(to, field.sampling, from, field.config);
}
void assign(GenerateOptions& to, const GenerationConfig& from) {
  for (const Field& field : all()) assign(to, field.request, from, field.generation);
}
void assign(GenerateOptions& to, const SamplingParams& from) {
  for (const Field& field : all()) assign(to, field.request, from, field.sampling);
}

}  // namespace openllm::fields
