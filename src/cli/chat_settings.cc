#include "cli/chat_settings.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json_setting.h"
#include "fields/access.h"
#include "fields/body.h"

namespace openllm::cli {
namespace {

/// The row by a name of the field, or by one of its options.
const fields::Field* find_by_any_name(std::string name) {
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  std::string with_underscores = name;
  std::replace(with_underscores.begin(), with_underscores.end(), '-', '_');
  if (const fields::Field* field = fields::find(with_underscores)) return field;
  std::replace(name.begin(), name.end(), '_', '-');
  for (const fields::Field& field : fields::all()) {
    const bool takes_back = flag_of(field).starts_with('!');
    if (!takes_back && ("," + flag_of(field) + ",").find(",--" + name + ",") != std::string::npos)
      return &field;
  }
  return nullptr;
}

const fields::Field& find_field(Asked asked, const std::string& name) {
  const fields::Field* field = find_by_any_name(name);
  const unsigned ways =
      asked == Asked::kServer ? unsigned{fields::kOpenAI} : unsigned{fields::kCommandLine};
  if (field == nullptr || !fields::has_request(*field) || (field->ways & ways) == 0) {
    base::fail(ErrorCode::kInvalidArgument, name, ": there is no such setting",
               fields::did_you_mean(name));
  }
  return *field;
}

/// The value as the field's JSON.
base::Json to_value(const fields::Field& field, const std::string& text) {
  const bool is_list = text.starts_with('[');
  if (field.type == fields::Type::kText || (field.type == fields::Type::kTexts && !is_list))
    return text;
  if (field.type == fields::Type::kSeed)
    return base::Json(static_cast<std::int64_t>(parse_seed(text)));
  const bool is_ids =
      field.type == fields::Type::kTokenIds || field.type == fields::Type::kTokenIdOrIds;
  if (is_ids && !is_list) return to_value(field, "[" + text + "]");
  if (text == "on" || text == "off") return text == "on";
  return base::parse_setting(text, field.name);
}

void set_back(const fields::Field& field, GenerateOptions& options) {
  std::visit(
      [&](const auto& member) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(member)>, std::monostate>)
          options.*member = GenerateOptions{}.*member;
      },
      field.request);
  std::erase(options.cleared, std::string(field.name));
}

void set_value(GenerateOptions& options, const fields::Field& field, const base::Json& value) {
  if (value.is_null()) {
    set_back(field, options);
  } else {
    fields::set(field, options, value, field.name, field.range);
  }
}

/// The value of a text, and "default" for the default.
void set_from_text(GenerateOptions& options, const fields::Field& field, const std::string& text) {
  set_value(options, field, text == "default" ? base::Json() : to_value(field, text));
  fields::check(options);
}

std::string dashed(std::string_view name) {
  std::string option = base::cat("--", name);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

}  // namespace

std::string apply_setting(GenerateOptions& options, Asked asked, const std::string& setting) {
  const std::size_t equals = setting.find('=');
  if (equals == 0 || equals == std::string::npos) {
    base::fail(ErrorCode::kInvalidArgument, "--sampling-params: expected NAME=VALUE, got \"",
               setting, "\"");
  }
  const std::string name = setting.substr(0, equals);
  const std::string text = setting.substr(equals + 1);
  if (const fields::AbsentField* absent = fields::find_absent(name)) {
    if (fields::is_neutral(*absent, json_or_text(text))) return dashed(name);
    base::fail_with(ErrorCode::kUnsupported, {absent->name, ErrorReason::kUnsupportedField},
                    "--sampling-params ", setting, ": this version does not have that feature");
  }
  const fields::Field& field = find_field(asked, name);
  try {
    set_from_text(options, field, text);
  } catch (const Error& error) {
    throw Error(error.code(), base::cat("--sampling-params ", error.what()), error.where(),
                error.reason());
  }
  return shown_flag(field);
}

std::string set_field(GenerateOptions& options, Asked asked, const std::string& name,
                      const std::string& text) {
  const fields::Field& field = find_field(asked, name);
  GenerateOptions changed = options;
  set_from_text(changed, field, text);
  check_for_chat(changed);
  options = std::move(changed);
  return std::string(field.name);
}

base::Json fields_to_json(const GenerateOptions& options) {
  base::Json object = base::Json::object();
  for (const fields::Field& field : fields::all()) {
    if ((field.ways & fields::kCommandLine) == 0) continue;
    base::Json value = fields::get(field, options);
    if (value == fields::get(field, GenerateOptions{})) continue;
    if (field.type == fields::Type::kNumber) {  // 0.2, not 0.20000000298
      const auto number = static_cast<float>(value.as_double(field.name));
      value = base::Json::parse(base::cat(number), field.name);
    }
    object[field.name] = std::move(value);
  }
  return object;
}

void fields_from_json(GenerateOptions& options, Asked asked, const base::Json& object) {
  GenerateOptions changed = options;
  for (const fields::Field& field : fields::all()) {
    if ((field.ways & fields::kCommandLine) != 0) set_back(field, changed);
  }
  for (const auto& [name, value] : object.as_object("options"))
    set_value(changed, find_field(asked, name), value);
  fields::check(changed);
  check_for_chat(changed);
  options = std::move(changed);
}

void check_for_chat(const GenerateOptions& options) {
  if (options.n.value_or(1) != 1) {
    base::fail_at(ErrorCode::kInvalidArgument, "n", "a chat shows one answer (expected 1, got ",
                  *options.n, ")");
  }
  if (options.best_of) {
    base::fail_at(ErrorCode::kInvalidArgument, "best_of",
                  "a chat shows the answer while it is made");
  }
  if (options.logprobs || options.prompt_logprobs) {
    base::fail_at(ErrorCode::kInvalidArgument, options.logprobs ? "logprobs" : "prompt_logprobs",
                  "a chat does not show them");
  }
}

}  // namespace openllm::cli
