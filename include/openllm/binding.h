#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "openllm/chat.h"
#include "openllm/error.h"
#include "openllm/outputs.h"

/// Structs of a program as JSON. `OPENLLM_FIELDS(Type, a, b, maybe(c))`, written once behind the
/// struct and in its namespace, says which members there are; reading, writing and JSON Schema
/// follow from it:
///
///     struct Question {
///       std::string question;
///       int n_words = 50;
///     };
///     OPENLLM_FIELDS(Question, question, maybe(n_words))
///
/// Members may be bool, numbers, std::string, std::optional, std::vector and std::map<std::string,
/// T> of these, JsonText, Message, enumerations described by OPENLLM_ENUM, and structs described
/// the same way, at most 64 in one struct; GenerationOutput can be written only. A JSON object must
/// have all members but those of std::optional and those in `maybe`, which keep the value they are
/// initialised with; it may have no others.
#define OPENLLM_FIELDS(Type, ...)                                             \
  [[maybe_unused]] constexpr auto openllm_fields(const Type*) noexcept {      \
    return ::openllm::detail::make_fields(                                    \
        #Type, OPENLLM_DETAIL_EACH(OPENLLM_DETAIL_FIELD, Type, __VA_ARGS__)); \
  }

/// `OPENLLM_ENUM(Type, a, as(b, "text"))`, written once behind an enumeration and in its namespace,
/// says which values there are: JSON has their names, or the text given. Values may not be equal.
#define OPENLLM_ENUM(Type, ...)                                          \
  [[maybe_unused]] constexpr auto openllm_values(const Type*) noexcept { \
    return ::openllm::detail::make_values<Type>(                         \
        {OPENLLM_DETAIL_EACH(OPENLLM_DETAIL_VALUE, Type, __VA_ARGS__)}); \
  }

#define OPENLLM_DETAIL_EACH(make, Type, ...) \
  OPENLLM_DETAIL_SCAN(OPENLLM_DETAIL_NEXT(make, Type, __VA_ARGS__))
#define OPENLLM_DETAIL_NEXT(make, Type, field, ...) \
  make(Type, field)                                 \
      __VA_OPT__(, OPENLLM_DETAIL_AGAIN OPENLLM_DETAIL_PARENS(make, Type, __VA_ARGS__))
#define OPENLLM_DETAIL_AGAIN() OPENLLM_DETAIL_NEXT
#define OPENLLM_DETAIL_PARENS ()
// Each scan lets the list of fields grow by one.
#define OPENLLM_DETAIL_SCAN(...) \
  OPENLLM_DETAIL_SCAN16(         \
      OPENLLM_DETAIL_SCAN16(OPENLLM_DETAIL_SCAN16(OPENLLM_DETAIL_SCAN16(__VA_ARGS__))))
#define OPENLLM_DETAIL_SCAN16(...) \
  OPENLLM_DETAIL_SCAN4(            \
      OPENLLM_DETAIL_SCAN4(OPENLLM_DETAIL_SCAN4(OPENLLM_DETAIL_SCAN4(__VA_ARGS__))))
#define OPENLLM_DETAIL_SCAN4(...) \
  OPENLLM_DETAIL_SCAN1(           \
      OPENLLM_DETAIL_SCAN1(OPENLLM_DETAIL_SCAN1(OPENLLM_DETAIL_SCAN1(__VA_ARGS__))))
#define OPENLLM_DETAIL_SCAN1(...) __VA_ARGS__

// `maybe(x)` pastes to a macro that moves x and true to where x and false are for a plain field.
#define OPENLLM_DETAIL_FIELD(Type, field) \
  OPENLLM_DETAIL_PICK(Type, OPENLLM_DETAIL_IS_##field, field, false, )
#define OPENLLM_DETAIL_IS_maybe(field) , field, true
#define OPENLLM_DETAIL_PICK(...) OPENLLM_DETAIL_PICK_NOW(__VA_ARGS__)
#define OPENLLM_DETAIL_PICK_NOW(Type, ignored, field, is_optional, ...) \
  ::openllm::detail::make_field(#field, &Type::field, is_optional)

// `as(x, "text")` in the same way.
#define OPENLLM_DETAIL_VALUE(Type, value) \
  OPENLLM_DETAIL_PICK_VALUE(Type, OPENLLM_DETAIL_IS_##value, value, #value, )
#define OPENLLM_DETAIL_IS_as(value, text) , value, text
#define OPENLLM_DETAIL_PICK_VALUE(...) OPENLLM_DETAIL_PICK_VALUE_NOW(__VA_ARGS__)
#define OPENLLM_DETAIL_PICK_VALUE_NOW(Type, ignored, value, text, ...) \
  ::openllm::detail::Value<Type> { text, Type::value }

namespace openllm {

/// A value that is JSON text already: taken as it came, given as it is.
struct JsonText {
  std::string text = "null";
};

namespace detail {

/// A JSON value on its way into an object: a cursor on it or on one of its parts. Everything throws
/// kInvalidArgument with the path of the part for a value of another type.
class OPENLLM_API ValueReader {
 public:
  ValueReader() = default;
  ValueReader(const ValueReader&) = delete;
  ValueReader& operator=(const ValueReader&) = delete;
  virtual ~ValueReader();

  virtual bool is_null() const = 0;
  virtual bool as_bool() const = 0;
  virtual std::int64_t as_int(std::int64_t min, std::int64_t max) const = 0;
  virtual double as_number(double most) const = 0;  ///< `most`: without the sign.
  virtual std::string as_text() const = 0;
  /// The place among `texts` of a text that must be one of them.
  virtual std::size_t as_one_of(const std::vector<std::string_view>& texts) const = 0;
  virtual std::string as_json() const = 0;
  virtual std::size_t n_elements() const = 0;         ///< Of an array.
  virtual std::vector<std::string> keys() const = 0;  ///< Of an object.
  /// Fails for a member of the object that none of the names is.
  virtual void require_known(const std::vector<std::string_view>& names) const = 0;
  virtual void enter_element(std::size_t index) = 0;
  /// False if there is none; fails then if it is needed.
  virtual bool enter_member(std::string_view name, bool is_needed) = 0;
  virtual void leave() = 0;  ///< Back to where `enter` was called.
};

/// JSON that is being written.
class OPENLLM_API ValueWriter {
 public:
  ValueWriter() = default;
  ValueWriter(const ValueWriter&) = delete;
  ValueWriter& operator=(const ValueWriter&) = delete;
  virtual ~ValueWriter();

  virtual void begin_object() = 0;
  virtual void key(std::string_view name) = 0;
  virtual void end_object() = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void integer(std::int64_t value) = 0;
  virtual void number(float value) = 0;  ///< Infinities and NaN become null.
  virtual void number(double value) = 0;
  virtual void text(std::string_view value) = 0;
  virtual void json(std::string_view value) = 0;  ///< Throws kInvalidArgument if it is no JSON.
};

/// JSON Schema that is being written. Structs are written once, and referred to.
class OPENLLM_API SchemaWriter : public ValueWriter {
 public:
  /// Writes a reference to the struct. True when it has not been described yet: what follows, up to
  /// `end_type`, does it. `id` tells structs of one name apart.
  virtual bool begin_type(std::string_view name, const void* id) = 0;
  virtual void end_type() = 0;
};

template <typename Class, typename Member>
struct Field {
  const char* name;
  Member Class::*member;
  bool is_optional;
};
template <typename Class, typename Member>
constexpr Field<Class, Member> make_field(const char* name, Member Class::*member,
                                          bool is_optional) noexcept {
  return {name, member, is_optional};
}

template <typename... F>
struct Fields {
  const char* type_name;
  std::tuple<F...> fields;
};
template <typename... F>
constexpr Fields<F...> make_fields(const char* type_name, F... fields) noexcept {
  return {type_name, {fields...}};
}

template <typename Enum>
struct Value {
  const char* text;
  Enum value;
};
template <typename Enum, std::size_t n>
constexpr std::array<Value<Enum>, n> make_values(const Value<Enum> (&values)[n]) noexcept {
  return std::to_array(values);
}

/// Described by OPENLLM_FIELDS.
template <typename T>
concept HasFields = requires {
  openllm_fields(static_cast<const T*>(nullptr));
};

/// Described by OPENLLM_ENUM.
template <typename T>
concept HasValues = std::is_enum_v<T> && requires {
  openllm_values(static_cast<const T*>(nullptr));
};

/// How a type is read and written. No member: it cannot be.
template <typename T>
struct Binding {
  static_assert(HasFields<T>,
                "this type has no JSON form: describe it with OPENLLM_FIELDS(Type, members...), or "
                "with OPENLLM_ENUM(Type, values...)");
};

template <typename T>
concept Integer = std::integral<T> && !std::same_as<T, bool>;

template <>
struct Binding<bool> {
  static void read(ValueReader& in, bool& value) { value = in.as_bool(); }
  static void write(ValueWriter& out, bool value) { out.boolean(value); }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("boolean");
  }
};

template <Integer T>
struct Binding<T> {
  static constexpr std::int64_t kMin =
      std::is_unsigned_v<T> ? 0 : static_cast<std::int64_t>(std::numeric_limits<T>::min());
  static constexpr std::int64_t kMax =
      std::numeric_limits<T>::digits > 63
          ? std::numeric_limits<std::int64_t>::max()
          : static_cast<std::int64_t>(std::numeric_limits<T>::max());

  static void read(ValueReader& in, T& value) { value = static_cast<T>(in.as_int(kMin, kMax)); }
  static void write(ValueWriter& out, T value) {
    if (std::cmp_greater(value, std::numeric_limits<std::int64_t>::max())) {
      out.number(static_cast<double>(value));
    } else {
      out.integer(static_cast<std::int64_t>(value));
    }
  }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("integer");
    if (kMin == 0) {
      out.key("minimum");
      out.integer(0);
    }
  }
};

template <std::floating_point T>
struct Binding<T> {
  static void read(ValueReader& in, T& value) {
    value = static_cast<T>(in.as_number(static_cast<double>(std::numeric_limits<T>::max())));
  }
  static void write(ValueWriter& out, T value) {
    out.number(static_cast<std::conditional_t<std::same_as<T, float>, float, double>>(value));
  }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("number");
  }
};

template <>
struct Binding<std::string> {
  static void read(ValueReader& in, std::string& value) { value = in.as_text(); }
  static void write(ValueWriter& out, const std::string& value) { out.text(value); }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("string");
  }
};

template <HasValues T>
struct Binding<T> {
  static constexpr auto values() noexcept { return openllm_values(static_cast<const T*>(nullptr)); }

  static void read(ValueReader& in, T& value) {
    std::vector<std::string_view> texts;
    for (const auto& entry : values()) texts.emplace_back(entry.text);
    value = values()[in.as_one_of(texts)].value;
  }
  /// Throws kInvalidArgument for a value that the description does not have.
  static void write(ValueWriter& out, T value) {
    for (const auto& entry : values()) {
      if (entry.value == value) return out.text(entry.text);
    }
    throw Error(ErrorCode::kInvalidArgument,
                "no text for the value " + std::to_string(static_cast<std::int64_t>(value)) +
                    " of an enumeration (expected one that OPENLLM_ENUM lists)");
  }
  static void schema(SchemaWriter& out) {
    out.key("enum");
    out.begin_array();
    for (const auto& entry : values()) out.text(entry.text);
    out.end_array();
  }
};

template <>
struct Binding<JsonText> {
  static void read(ValueReader& in, JsonText& value) { value.text = in.as_json(); }
  static void write(ValueWriter& out, const JsonText& value) { out.json(value.text); }
  static void schema(SchemaWriter& /*out*/) {}
};

/// As in OpenAI's chats; what is neither role nor content is in `extra_json`.
template <>
struct OPENLLM_API Binding<Message> {
  static void read(ValueReader& in, Message& value);
  static void write(ValueWriter& out, const Message& value);
  static void schema(SchemaWriter& out);
};

template <>
struct Binding<GenerationOutput> {
  static void write(ValueWriter& out, const GenerationOutput& value) { out.json(to_json(value)); }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("object");
  }
};

template <typename T>
struct Binding<std::optional<T>> {
  static void read(ValueReader& in, std::optional<T>& value) {
    if (in.is_null()) {
      value.reset();
    } else {
      Binding<T>::read(in, value.emplace());
    }
  }
  static void write(ValueWriter& out, const std::optional<T>& value) {
    if (value) {
      Binding<T>::write(out, *value);
    } else {
      out.null();
    }
  }
  static void schema(SchemaWriter& out) {
    out.key("anyOf");
    out.begin_array();
    out.begin_object();
    Binding<T>::schema(out);
    out.end_object();
    out.begin_object();
    out.key("type");
    out.text("null");
    out.end_object();
    out.end_array();
  }
};

template <typename T>
struct Binding<std::vector<T>> {
  static void read(ValueReader& in, std::vector<T>& value) {
    const std::size_t n = in.n_elements();
    value.clear();
    value.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
      T element{};
      in.enter_element(i);
      Binding<T>::read(in, element);
      in.leave();
      value.push_back(std::move(element));
    }
  }
  static void write(ValueWriter& out, const std::vector<T>& value) {
    out.begin_array();
    for (const auto& element : value) Binding<T>::write(out, element);
    out.end_array();
  }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("array");
    out.key("items");
    out.begin_object();
    Binding<T>::schema(out);
    out.end_object();
  }
};

template <typename T, typename Compare>
struct Binding<std::map<std::string, T, Compare>> {
  static void read(ValueReader& in, std::map<std::string, T, Compare>& value) {
    value.clear();
    for (const std::string& key : in.keys()) {
      in.enter_member(key, true);
      Binding<T>::read(in, value[key]);
      in.leave();
    }
  }
  static void write(ValueWriter& out, const std::map<std::string, T, Compare>& value) {
    out.begin_object();
    for (const auto& [key, element] : value) {
      out.key(key);
      Binding<T>::write(out, element);
    }
    out.end_object();
  }
  static void schema(SchemaWriter& out) {
    out.key("type");
    out.text("object");
    out.key("additionalProperties");
    out.begin_object();
    Binding<T>::schema(out);
    out.end_object();
  }
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <HasFields T>
struct Binding<T> {
  static constexpr auto fields() noexcept { return openllm_fields(static_cast<const T*>(nullptr)); }
  template <typename Visit>
  static void for_each(const Visit& visit) {
    std::apply([&](const auto&... field) { (visit(field), ...); }, fields().fields);
  }
  template <typename Class, typename Member>
  static constexpr bool is_needed(const Field<Class, Member>& field) noexcept {
    return !field.is_optional && !kIsOptional<Member>;
  }

  static void read(ValueReader& in, T& value) {
    std::vector<std::string_view> names;
    for_each([&](const auto& field) { names.emplace_back(field.name); });
    in.require_known(names);
    for_each([&](const auto& field) {
      if (!in.enter_member(field.name, is_needed(field))) return;
      auto& member = value.*field.member;
      Binding<std::remove_reference_t<decltype(member)>>::read(in, member);
      in.leave();
    });
  }

  static void write(ValueWriter& out, const T& value) {
    out.begin_object();
    for_each([&](const auto& field) {
      const auto& member = value.*field.member;
      out.key(field.name);
      Binding<std::remove_cvref_t<decltype(member)>>::write(out, member);
    });
    out.end_object();
  }

  static void schema(SchemaWriter& out) {
    static constexpr char kId = 0;
    if (!out.begin_type(fields().type_name, &kId)) return;
    out.key("type");
    out.text("object");
    out.key("properties");
    out.begin_object();
    const T initial{};
    for_each([&](const auto& field) {
      const auto& member = initial.*field.member;
      using Member = std::remove_cvref_t<decltype(member)>;
      out.key(field.name);
      out.begin_object();
      Binding<Member>::schema(out);
      if (field.is_optional) {
        out.key("default");
        Binding<Member>::write(out, member);
      }
      out.end_object();
    });
    out.end_object();
    out.key("required");
    out.begin_array();
    for_each([&](const auto& field) {
      if (is_needed(field)) out.text(field.name);
    });
    out.end_array();
    out.key("additionalProperties");
    out.boolean(false);
    out.end_type();
  }
};

OPENLLM_API std::unique_ptr<ValueReader> read_json(std::string_view text, std::string_view where);
/// Appends to `out`, which must outlive the writer.
OPENLLM_API std::unique_ptr<ValueWriter> write_json(std::string& out);
/// One schema with what it refers to in `$defs`.
OPENLLM_API std::string json_schema_of(void (*describe)(SchemaWriter&));

}  // namespace detail

/// The object that a JSON text describes, of any type that may be a member (above). Throws
/// kInvalidArgument that names the member.
template <typename T>
T from_json(std::string_view text) {
  T value{};
  detail::Binding<T>::read(*detail::read_json(text, "json"), value);
  return value;
}

template <typename T>
std::string to_json(const T& value) {
  std::string text;
  detail::Binding<T>::write(*detail::write_json(text), value);
  return text;
}

/// JSON Schema (2020-12) of a type.
template <typename T>
std::string json_schema() {
  return detail::json_schema_of([](detail::SchemaWriter& out) { detail::Binding<T>::schema(out); });
}

}  // namespace openllm
