#include "fields/access.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/error.h"
#include "fields/values.h"

namespace openllm::fields {
namespace {

using Milliseconds = std::chrono::milliseconds;
using Texts = std::vector<std::string>;
using TokenIds = std::vector<std::int32_t>;
using TokenNumbers = std::map<std::int32_t, float>;

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
base::Json to_json(const Field& /*field*/, float value) { return static_cast<double>(value); }
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
base::Json to_json(const Field& /*field*/, const TokenNumbers& value) {
  base::Json object;
  for (const auto& [id, number] : value) object[std::to_string(id)] = static_cast<double>(number);
  return object;
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
/// -1 asks for a random seed in every engine; other negative ones are seeds.
void read(const Source& from, std::optional<std::uint64_t>& to) {
  std::uint64_t seed = 0;
  read(from, seed);
  to.reset();
  if (seed != static_cast<std::uint64_t>(-1)) to = seed;
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
void read(const Source& from, TokenIds& to) { to = read_token_ids(from.json, from.where); }
void read(const Source& from, TokenNumbers& to) {
  to = read_token_numbers(from.json, from.where, from.range);
}
template <typename T>
void read(const Source& from, std::optional<T>& to) {
  T value{};
  read(from, value);
  to = value;
}

/// Models' files have one id or a list, and some have -1 for none.
void read_model_ids(const Source& from, TokenIds& to) {
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
  void operator()(int value) const { number(value); }
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
  template <typename T>
  void operator()(const std::optional<T>& value) const {
    if (value) (*this)(*value);
  }
  void operator()(bool /*value*/) const {}
  void operator()(std::uint64_t /*value*/) const {}
  void operator()(const std::string& /*value*/) const {}
  void operator()(const TokenIds& /*value*/) const {}
};

template <typename T>
bool is_set(const std::optional<T>& value) noexcept {
  return value.has_value();
}
bool is_set(const TokenIds& value) noexcept { return !value.empty(); }

}  // namespace

base::Json get(const Field& field, const GenerateOptions& options) {
  return member_json(field, options, field.request);
}
base::Json get(const Field& field, const LLMConfig& config) {
  return member_json(field, config, field.config);
}

void set(const Field& field, GenerateOptions& options, const base::Json& value,
         std::string_view where, const Range& range) {
  const Source source{field.type, value, where, range};
  with_member(options, field.request, [&](auto& member) { read(source, member); });
}

void set(const Field& field, LLMConfig& config, const base::Json& value, std::string_view where) {
  const Source source{field.type, value, where, field.range};
  with_member(config, field.config,
              Overloaded{[&](auto& member) { read(source, member); },
                         [&](TokenIds& ids) { read_model_ids(source, ids); }});
}

bool has_request(const Field& field) noexcept { return field.request.index() != 0; }
bool has_config(const Field& field) noexcept { return field.config.index() != 0; }

void check(const LLMConfig& config, std::string_view where) {
  for (const Field& field : all()) {
    const std::string place =
        where.empty() ? std::string(field.name) : base::cat(where, ": ", field.name);
    with_member(config, field.config, Check{place, field.range});
  }
}

void check(const GenerateOptions& options) {
  for (const Field& field : all())
    with_member(options, field.request, Check{field.name, field.range});
}

void merge(LLMConfig& config, const LLMConfig& over) {
  for (const Field& field : all()) {
    std::visit(Overloaded{[](std::monostate) {},
                          [&](auto member) {
                            if (is_set(over.*member)) config.*member = over.*member;
                          }},
               field.config);
  }
}

void merge(LLMConfig& config, const GenerateOptions& over) {
  for (const Field& field : all()) {
    std::visit(Overloaded{[](auto, auto) {},  // the request or the configuration lacks it
                          [&]<typename T>(std::optional<T> LLMConfig::*to,
                                          std::optional<T> GenerateOptions::*from) {
                            if (over.*from) config.*to = over.*from;
                          }},
               field.config, field.request);
  }
}

LLMConfig initial_config() {
  LLMConfig config;
  for (const Field& field : all()) {
    if (!field.initial) continue;
    set(field, config,
        field.type == Type::kNumber ? base::Json(*field.initial)
                                    : base::Json(static_cast<std::int64_t>(*field.initial)),
        field.name);
  }
  return config;
}

}  // namespace openllm::fields
