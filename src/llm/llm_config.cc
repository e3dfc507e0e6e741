#include "llm/llm_config.h"

#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "fields/access.h"
#include "fields/body.h"

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

/// One source of fields that an owner of this process named: OPENLLM_CONFIG, or the variables with
/// one prefix.
class Source {
 public:
  /// `place` names the value in errors.
  void set(std::string_view name, const base::Json& value, std::string_view place) {
    if (value.is_null()) return;
    if (name == kDoSample) {
      is_greedy_ = !value.as_bool(place);
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

  LLMConfig config() const {
    LLMConfig config = config_;
    if (is_greedy_) config.temperature = 0.0F;
    return config;
  }

 private:
  LLMConfig config_;
  bool is_greedy_ = false;
};

/// The value of a variable for one field. A value that is no JSON is its text: shells take quotes
/// away, and the field says what it expects.
base::Json value_of(std::string_view text, std::string_view variable) {
  try {
    return base::Json::parse(text, variable);
  } catch (const Error&) {
    return base::Json(text);
  }
}

std::string_view expected_of(const fields::Field& field) {
  switch (field.type) {
    case fields::Type::kInteger:
      return "an integer";
    case fields::Type::kNumber:
      return "a number";
    default:
      return "a list of token ids";
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
  const base::Json value = value_of(text, variable);
  const fields::Field* row = fields::find(field);
  if (row != nullptr && fields::has_config(*row) && value.is_string()) {
    // No field of a configuration is a text.
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
  return source.config();
}

/// OPENLLM_CONFIG.
LLMConfig read_whole() {
  constexpr const char* kName = "OPENLLM_CONFIG";
  const char* text = std::getenv(kName);
  if (text == nullptr || *text == '\0') return {};
  const base::Json json = base::Json::parse(text, kName);
  Source source;
  for (const auto& [name, value] : json.as_object(kName))
    source.set(name, value, base::cat(kName, ": ", name));
  return source.config();
}

}  // namespace

LLMConfig resolve_config(const ConfigLayers& layers) {
  LLMConfig config = fields::initial_config();
  for (const LLMConfig* layer : {&layers.family, &layers.model, &layers.environment, &layers.load})
    fields::merge(config, *layer);
  return config;
}

void apply_config_json(LLMConfig& config, const base::Json& json, std::string_view where) {
  if (json.is_null()) return;
  json.as_object(where);
  for (const fields::Field& field : fields::all()) {
    const base::Json* value = json.find(field.name);
    if (fields::has_config(field) && value != nullptr && !value->is_null())
      fields::set(field, config, *value, base::cat(where, ": ", field.name));
  }
  if (is_false(json.find(kDoSample))) config.temperature = 0.0F;
}

LLMConfig environment_config() {
  LLMConfig config = read_whole();
  for (const std::string_view prefix : kPrefixes) fields::merge(config, read_variables(prefix));
  return config;
}

void check_config(const LLMConfig& config, std::string_view where) { fields::check(config, where); }

}  // namespace openllm::llm
