#include "fields/body.h"

#include <array>

#include "base/error.h"
#include "fields/access.h"

namespace openllm::fields {
namespace {

[[noreturn]] void refuse(std::string_view name, std::string_view why) {
  base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, name,
                  ": unsupported (", why, ")");
}

constexpr std::string_view kLacking = "this server does not have that feature";

std::string_view openai_name(const Field& field) noexcept {
  return field.openai.empty() ? field.name : field.openai;
}

bool same(const base::Json& a, const base::Json& b) {
  if (a.is_number() && b.is_number()) return a.as_double("a") == b.as_double("b");
  return a == b;
}

bool is_empty(const base::Json& value) {
  if (const std::string* text = value.if_string()) return text->empty();
  if (const base::JsonArray* list = value.if_array()) return list->empty();
  if (const base::JsonObject* object = value.if_object()) return object->empty();
  return false;
}

/// An object that fields are read from.
class Reader {
 public:
  /// `path`: where the object stands; empty for a whole body.
  Reader(const base::Json& object, Way way, std::string_view path)
      : object_(object), way_(way), path_(path) {}

  void read(GenerateOptions& options) const {
    for (const Field& field : all()) {
      const Given given = find_given(field);
      if (given.value != nullptr) read_field(field, given, options);
    }
    for (const AbsentField& field : absent()) {
      const base::Json* value = object_.find(field.name);
      if (value != nullptr && !is_neutral(field, *value)) refuse(place_of(field.name), kLacking);
    }
  }

  void refuse_unknown() const {
    constexpr std::size_t kMaxShown = 60;
    for (const auto& [name, value] : object_.as_object(path_)) {
      if (find(name) != nullptr || find_absent(name) != nullptr) continue;
      const std::string place = place_of(std::string_view(name).substr(0, kMaxShown));
      base::fail_with(ErrorCode::kInvalidArgument, {place, ErrorReason::kUnknownField}, place,
                      ": there is no such field", did_you_mean(name));
    }
  }

 private:
  struct Given {
    std::string_view name{};
    const base::Json* value = nullptr;
  };

  std::string place_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : base::cat(path_, ".", name);
  }

  /// The member that is this field, under whatever name.
  Given find_given(const Field& field) const {
    Given given;
    for (const std::string_view name : {openai_name(field), field.name, field.alias}) {
      if (name.empty() || name == given.name) continue;
      const base::Json* value = object_.find(name);
      if (value == nullptr || value->is_null()) continue;
      if (given.value != nullptr) {
        base::fail_at(ErrorCode::kInvalidArgument, place_of(name), "given twice (also as ",
                      given.name, ")");
      }
      given = {name, value};
    }
    return given;
  }

  void read_field(const Field& field, const Given& given, GenerateOptions& options) const {
    if ((field.by_hand & way_) != 0) {
      if (given.name != openai_name(field))
        refuse(place_of(given.name), base::cat("give ", openai_name(field), " instead"));
      return;
    }
    if ((field.ways & way_) == 0) {
      if (!is_neutral(field, *given.value)) refuse(place_of(given.name), kLacking);
      return;
    }
    const bool is_openai = (way_ & kOpenAI) != 0;
    set(field, options, *given.value, place_of(given.name),
        is_openai ? field.openai_range.value_or(field.range) : field.range);
  }

  const base::Json& object_;
  Way way_;
  std::string_view path_;
};

}  // namespace

bool is_neutral(const Field& field, const base::Json& value) {
  return value.is_null() || is_empty(value) || same(value, get(field, GenerateOptions{}));
}

bool is_neutral(const AbsentField& field, const base::Json& value) {
  if (value.is_null()) return true;
  for (const std::string_view neutral : {field.neutral, field.also_neutral}) {
    if (!neutral.empty() && same(value, base::Json::parse(neutral, field.name))) return true;
  }
  return false;
}

void read_body(const base::Json& body, Way way, GenerateOptions& options) {
  Reader(body, way, "").read(options);
}

void read_object(const base::Json& object, Way way, std::string_view path,
                 GenerateOptions& options) {
  const Reader reader(object, way, path);
  reader.refuse_unknown();
  reader.read(options);
}

void write_body(const GenerateOptions& options, Way way, base::Json& body) {
  const GenerateOptions nothing;
  for (const Field& field : all()) {
    base::Json value = get(field, options);
    if (value == get(field, nothing)) continue;
    if ((field.ways & kOpenAI) == 0) {
      base::fail_with(ErrorCode::kUnsupported, {field.name, ErrorReason::kUnsupportedField},
                      field.name, ": cannot be asked of a server");
    }
    if ((field.ways & way) != 0 && (field.ways & kClient) != 0)
      body[openai_name(field)] = std::move(value);
  }
}

}  // namespace openllm::fields
