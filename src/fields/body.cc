#include "fields/body.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"
#include "fields/access.h"

namespace openllm::fields {
namespace {

/// A body with more unknown names than this is no request of any SDK; comparing each with all known
/// ones would take long.
constexpr std::size_t kMaxUnknown = 100;
/// Names are quoted in messages and headers; long ones would drown them.
constexpr std::size_t kMaxShown = 60;

[[noreturn]] void refuse(std::string_view name, std::string_view why) {
  base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, name,
                  ": unsupported (", why, ")");
}

constexpr std::string_view kLacking = "this server does not have that feature";

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

/// Whether `value` is null or one of the JSON texts.
bool is_one_of(const base::Json& value, std::initializer_list<std::string_view> texts) {
  if (value.is_null()) return true;
  for (const std::string_view text : texts) {
    if (!text.empty() && same(value, base::Json::parse(text, "neutral"))) return true;
  }
  return false;
}

std::string joined(std::string_view path, std::string_view name) {
  const std::string_view shown = name.substr(0, kMaxShown);
  return path.empty() ? std::string(shown) : base::cat(path, ".", shown);
}

/// A field of the table that comes in by `way`, by code of its own or not.
bool is_read(const Field& field, Way way) noexcept {
  return ((field.ways | field.by_hand) & way) != 0;
}

/// Members that `way` reads by a name that is also an alias keep their own meaning there.
bool is_member_of(std::string_view name, Way way) noexcept {
  const BodyMember* member = find_member(name);
  return member != nullptr && (member->ways & way) != 0;
}

/// The names that somebody may have meant within an object.
std::vector<std::string> known_names(Way way, std::string_view scope) {
  std::vector<std::string> names;
  const std::string prefix = scope.empty() ? std::string() : base::cat(scope, ".");
  const auto add = [&](std::string_view name) {
    const bool is_here =
        name.starts_with(prefix) && name.find('.', prefix.size()) == std::string_view::npos;
    if (is_here) names.emplace_back(name.substr(prefix.size()));
  };
  if (scope.empty()) {
    for (const Field& field : all()) {
      for (const std::string_view name : names_of(field)) {
        if (is_read(field, way)) add(name);
      }
    }
  }
  for (const BodyMember& member : body_members()) {
    if ((member.ways & way) != 0) add(member.name);
  }
  // Short ones are words that new names come near to by chance.
  constexpr std::size_t kMinLength = 7;
  for (const AbsentField& field : absent()) {
    if (field.name.size() >= kMinLength) add(field.name);
  }
  for (const HarmlessMember& member : harmless()) {
    if (member.name.size() >= kMinLength) add(member.name);
  }
  return names;
}

/// Sorts the names of one object into taken, refused, harmless and unknown ones.
class Census {
 public:
  Census(Way way, std::string_view scope, std::string_view path)
      : way_(way), scope_(scope), path_(path) {}

  void run(const base::JsonObject& object, UnknownNames& unknown) {
    for (const auto& [name, value] : object) {
      if (value.is_null() || is_known(name, value)) continue;
      require_no_misspelling(name);
      if (unknown.size() >= kMaxUnknown) {
        base::fail_with(ErrorCode::kInvalidArgument, {path_},
                        path_.empty() ? "request body" : path_,
                        ": too many unknown names (expected at most ", kMaxUnknown, ")");
      }
      unknown.push_back(joined(path_, name));
    }
  }

 private:
  /// True if some table has the name; throws if it asks for what cannot be done.
  bool is_known(const std::string& name, const base::Json& value) const {
    const std::string full = scope_.empty() ? name : base::cat(scope_, ".", name);
    if (const BodyMember* member = find_member(full)) {
      if ((member->ways & way_) != 0) return true;
      if (scope_.empty() && find(name) != nullptr) return true;  // an alias here
      if (!is_one_of(value, {member->neutral})) refuse(joined(path_, name), place_of(*member));
      return true;
    }
    if (scope_.empty() && find(name) != nullptr) return true;
    if (const AbsentField* field = find_absent(full)) {
      if (is_neutral(*field, value)) return true;
      refuse(joined(path_, name),
             field->advice.empty() ? std::string(kLacking)
                                   : base::cat(kLacking, "; what comes near is ", field->advice));
    }
    return find_harmless(full) != nullptr;
  }

  static std::string place_of(const BodyMember& member) {
    std::string routes;
    for (const auto& [way, route] :
         {std::pair{kCompletions, "/v1/completions"}, std::pair{kChat, "/v1/chat/completions"},
          std::pair{kNative, "/v1/generate"}}) {
      if ((member.ways & way) != 0) routes += base::cat(routes.empty() ? "" : " and ", route);
    }
    return base::cat("only ", routes, " has it");
  }

  void require_no_misspelling(const std::string& name) {
    if (const std::string_view advice = tokenizer_advice(name); !advice.empty())
      refuse(joined(path_, name), advice);
    constexpr std::size_t kMinLength = 3;  // shorter ones are near to everything
    if (name.size() < kMinLength || name.size() > kMaxShown) return;
    if (known_.empty()) known_ = known_names(way_, scope_);
    const std::optional<std::string> meant = base::nearest(name, known_);
    if (!meant) return;
    const std::string full = scope_.empty() ? *meant : base::cat(scope_, ".", *meant);
    if (find_harmless(full) != nullptr) return;
    const std::string place = joined(path_, name);
    base::fail_with(ErrorCode::kInvalidArgument, {place, ErrorReason::kUnknownField}, place,
                    ": there is no such field; did you mean ", *meant, "?");
  }

  const Way way_;
  const std::string_view scope_;
  const std::string_view path_;
  std::vector<std::string> known_{};
};

/// An object that fields are read from.
class Reader {
 public:
  /// `path`: where the object stands; empty for a whole body. `texts` as read_body's.
  Reader(const base::Json& object, Way way, std::string_view path, TextNumbers* texts)
      : object_(object), way_(way), path_(path), texts_(texts) {}

  void read(GenerateOptions& options) const {
    for (const Field& field : all()) {
      const Given given = find_given(field);
      if (given.value != nullptr) read_field(field, given, options);
    }
  }

  void refuse_unknown() const {
    for (const auto& [name, value] : object_.as_object(path_)) {
      if (find(name) != nullptr) continue;
      if (const AbsentField* field = find_absent(name)) {
        if (is_neutral(*field, value)) continue;
        refuse(joined(path_, name), kLacking);
      }
      const std::string place = joined(path_, name);
      base::fail_with(ErrorCode::kInvalidArgument, {place, ErrorReason::kUnknownField}, place,
                      ": there is no such field", did_you_mean(name));
    }
  }

 private:
  struct Given {
    std::string_view name{};
    const base::Json* value = nullptr;
  };

  /// The member that is this field, under whatever name.
  Given find_given(const Field& field) const {
    Given given;
    for (const std::string_view name : names_of(field)) {
      const base::Json* value = object_.find(name);
      if (value == nullptr || value->is_null() || is_member_of(name, way_)) continue;
      if (given.value != nullptr) {
        base::fail_at(ErrorCode::kInvalidArgument, joined(path_, name), "given twice (also as ",
                      given.name, ")");
      }
      given = {name, value};
    }
    return given;
  }

  void read_field(const Field& field, const Given& given, GenerateOptions& options) const {
    if ((field.by_hand & way_) != 0) {
      if (given.name != openai_name(field))
        refuse(joined(path_, given.name), base::cat("give ", openai_name(field), " instead"));
      return;
    }
    if ((field.ways & way_) == 0) {
      if (!is_neutral(field, *given.value)) refuse(joined(path_, given.name), kLacking);
      return;
    }
    const bool is_openai = (way_ & kOpenAI) != 0;
    set(field, options, *given.value, joined(path_, given.name),
        is_openai ? field.openai_range.value_or(field.range) : field.range, texts_);
  }

  const base::Json& object_;
  Way way_;
  std::string_view path_;
  TextNumbers* texts_;
};

}  // namespace

bool is_neutral(const Field& field, const base::Json& value) {
  if (value.is_null() || same(value, get(field, GenerateOptions{}))) return true;
  if (same(value, get(field, initial_config()))) return true;
  if (field.type == Type::kSeed) return same(value, -1);
  if (value.is_bool() && same(value, none_of(field))) return true;
  const bool is_ids = field.type == Type::kTokenIds || field.type == Type::kTokenIdOrIds;
  return !is_ids && is_empty(value);
}

bool is_neutral(const AbsentField& field, const base::Json& value) {
  return is_one_of(value, {field.neutral, field.also_neutral});
}

bool is_switch(const AbsentField& field) noexcept {
  return field.neutral == "true" || field.neutral == "false";
}

UnknownNames read_body(const base::Json& body, Way way, GenerateOptions& options,
                       TextNumbers* texts) {
  UnknownNames unknown;
  Census(way, "", "").run(body.as_object("request body"), unknown);
  Reader(body, way, "", texts).read(options);
  return unknown;
}

void check_names(const base::Json& object, Way way, std::string_view scope, std::string_view path,
                 UnknownNames& unknown) {
  Census(way, scope, path).run(object.as_object(path), unknown);
}

void read_object(const base::Json& object, Way way, std::string_view path, GenerateOptions& options,
                 TextNumbers* texts) {
  const Reader reader(object, way, path, texts);
  reader.refuse_unknown();
  reader.read(options);
}

namespace {

/// Refuses a value that no server, or none by these routes, can be asked for.
void require_sendable(const Field& field, unsigned routes) {
  if ((field.ways & routes) == 0) {
    base::fail_with(ErrorCode::kUnsupported, {field.name, ErrorReason::kUnsupportedField},
                    field.name, ": cannot be asked of a server",
                    (field.ways & kNative) != 0 ? " but by the native routes" : "");
  }
}

/// Whether a client has the server do what a request asks for. What it does itself it leaves to the
/// server to take a default back.
bool is_sent(const Field& field, const base::Json& value) {
  return (field.ways & kClient) != 0 || value == none_of(field);
}

}  // namespace

void write_body(const GenerateOptions& options, Way way, base::Json& body) {
  const GenerateOptions nothing;
  for (const Field& field : all()) {
    base::Json value = get(field, options);
    if (value == get(field, nothing)) continue;
    // What is about the other route's prompts says nothing here; all else would be left out.
    require_sendable(field, field.group == Group::kPrompt ? kOpenAI : way);
    if ((field.ways & way) != 0 && is_sent(field, value))
      body[openai_name(field)] = std::move(value);
  }
}

void write_native_body(const LLMConfig& patch, const GenerateOptions& options, base::Json& body) {
  check_one_way(patch, "llm_config");
  LLMConfig config = patch;
  merge(config, options);
  const GenerateOptions nothing;
  base::Json in_config = base::Json::object();
  for (const Field& field : all()) {
    base::Json value = get(field, options);
    const bool is_of_patch = value == get(field, nothing);
    if (is_of_patch) value = get(field, config);
    if (value.is_null()) continue;
    require_sendable(field, kNative);
    if (!is_of_patch && !is_sent(field, value)) continue;
    (field.is_beside_config ? body : in_config)[field.name] = std::move(value);
  }
  if (!in_config.if_object()->empty()) body["llm_config"] = std::move(in_config);
}

}  // namespace openllm::fields
