#include "llm/llm_config.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/json_setting.h"
#include "fields/access.h"
#include "fields/body.h"
#include "fields/values.h"

namespace openllm::llm {
namespace {

/// A field of generation_config.json; false means greedy.
constexpr std::string_view kDoSample = "do_sample";
/// Lowest first.
constexpr std::array<std::string_view, 2> kPrefixes{"OPENLLM_GENERATION_", "OPENLLM_SAMPLING_"};

bool is_false(const base::Json* value) {
  const bool* flag = value == nullptr ? nullptr : value->if_bool();
  return flag != nullptr && !*flag;
}

/// Members of OPENLLM_CONFIG and of `model_construct_env`'s object that hold fields.
constexpr std::array<std::string_view, 3> kGroups{"generation_config", "sampling_config",
                                                  "llm_config"};

bool is_group(std::string_view name) noexcept {
  return std::find(kGroups.begin(), kGroups.end(), name) != kGroups.end();
}

/// One source of fields that an owner of this process named: OPENLLM_CONFIG, the variables with one
/// prefix, or a program's JSON.
class Source {
 public:
  /// `place` names the value in errors.
  void set(std::string_view name, const base::Json& value, std::string_view place) {
    if (value.is_null()) return;
    if (name == kDoSample) {
      is_greedy_ = !fields::read_boolean(value, place);
      return;
    }
    if (const fields::AbsentField* absent = fields::find_absent(name)) {
      if (fields::is_neutral(*absent, value)) return;
      base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, place,
                      ": unsupported (this version does not have that feature",
                      absent->advice.empty() ? "" : "; what comes near is ", absent->advice, ")");
    }
    const fields::Field* field = fields::find(name);
    if (field == nullptr) {
      base::fail_with(ErrorCode::kInvalidArgument, {name, ErrorReason::kUnknownField}, place,
                      ": there is no such field", fields::did_you_mean(name));
    }
    if (!fields::has_config(*field)) {
      if (fields::is_neutral(*field, value)) return;
      base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, place,
                      ": only requests have this field, no configuration");
    }
    if (!fields::get(*field, config_).is_null())
      base::fail_at(ErrorCode::kInvalidArgument, place, "given twice, under two names");
    fields::set(*field, config_, value, place);
  }

  /// The members of an object, and of the groups in it.
  void set_all(const base::Json& object, std::string_view place) {
    for (const auto& [name, value] : object.as_object(place)) {
      const std::string where = base::cat(place, ": ", name);
      if (value.is_null()) continue;
      if (is_group(name)) {
        set_all(value, where);
      } else {
        set(name, value, where);
      }
    }
  }

  /// `place` names the source in errors.
  LLMConfig config(std::string_view place) const {
    LLMConfig config = config_;
    if (is_greedy_) config.temperature = 0.0F;
    fields::check_one_way(config, place);
    return config;
  }

 private:
  LLMConfig config_;
  bool is_greedy_ = false;
};

std::string_view expected_of(const fields::Field& field) {
  switch (field.type) {
    case fields::Type::kInteger:
      return "an integer";
    case fields::Type::kNumber:
      return "a number";
    case fields::Type::kTokenIds:
    case fields::Type::kTokenIdOrIds:
      return "a list of token ids";
    default:
      return fields::to_string(field.type);
  }
}

/// Texts are quoted in messages; long ones would drown them.
std::string shown(std::string_view text) {
  constexpr std::size_t kMax = 60;
  return text.size() <= kMax ? std::string(text) : base::cat(text.substr(0, kMax), "...");
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

void set_variable(Source& source, std::string_view field, std::string_view text,
                  std::string_view variable) {
  // A value that is no JSON is its text: shells take quotes away, and the field says what it
  // expects.
  base::Json value = base::parse_setting_or_text(text, variable);
  const fields::Field* row = fields::find(field);
  const bool may_be_text = row != nullptr && row->type == fields::Type::kTexts;
  if (may_be_text && !value.is_array() && !value.is_string()) value = base::Json(text);
  if (row != nullptr && fields::has_config(*row) && value.is_string() && !may_be_text) {
    base::fail_with(ErrorCode::kInvalidArgument, {row->name}, variable,
                    ": invalid value (expected ", expected_of(*row), ", got ", shown(text), ")");
  }
  source.set(field, value, variable);
}

/// The variables of the environment that begin with `prefix` and have a value.
LLMConfig read_variables(std::string_view prefix) {
  Source source;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    const std::size_t equals = variable.find('=');
    if (!variable.starts_with(prefix) || equals == std::string_view::npos) continue;
    const std::string_view name = variable.substr(0, equals);
    const std::string_view value = variable.substr(equals + 1);
    if (value.empty()) continue;
    set_variable(source, lower(name.substr(prefix.size())), value, name);
  }
  return source.config(base::cat(prefix, "*"));
}

/// OPENLLM_CONFIG.
LLMConfig read_whole() {
  constexpr const char* kName = "OPENLLM_CONFIG";
  const char* text = std::getenv(kName);
  if (text == nullptr || *text == '\0') return {};
  Source source;
  source.set_all(base::parse_setting(text, kName), kName);
  return source.config(kName);
}

}  // namespace

LLMConfig resolve_config(const ConfigLayers& layers) {
  LLMConfig config = fields::initial_config();
  for (const LLMConfig* layer : {&layers.family, &layers.model, &layers.environment, &layers.load})
    fields::merge(config, *layer);
  config.cleared.clear();
  return config;
}

void apply_config_json(LLMConfig& config, const base::Json& json, std::string_view where) {
  if (json.is_null()) return;
  json.as_object(where);
  for (const fields::Field& field : fields::all()) {
    const std::string_view name = fields::transformers_name(field);
    const base::Json* value = field.is_in_files ? json.find(name) : nullptr;
    if (value != nullptr && !value->is_null())
      fields::set(field, config, *value, base::cat(where, ": ", name));
  }
  if (is_false(json.find(kDoSample))) config.temperature = 0.0F;
  fields::keep_one_way(config);
}

LLMConfig environment_config() {
  LLMConfig config = read_whole();
  for (const std::string_view prefix : kPrefixes) fields::merge(config, read_variables(prefix));
  return config;
}

LLMConfig config_of(const base::Json& object, std::string_view place) {
  Source source;
  source.set_all(object, place);
  return source.config(place);
}

void check_config(const LLMConfig& config, std::string_view where) { fields::check(config, where); }

}  // namespace openllm::llm

namespace openllm {

LLMConfig environment_config() { return llm::environment_config(); }

}  // namespace openllm
