#include "cli/chat_settings.h"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "base/error.h"
#include "fields/access.h"

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
  if (field.type == fields::Type::kSeed) {
    const std::optional<std::uint64_t> seed = parse_seed(text);
    return seed ? base::Json(static_cast<std::int64_t>(*seed)) : base::Json();
  }
  if (field.type == fields::Type::kTokenIds && !is_list) return to_value(field, "[" + text + "]");
  if (text == "on" || text == "off") return text == "on";
  return base::Json::parse(text, field.name);
}

void set_back(const fields::Field& field, GenerateOptions& options) {
  std::visit(
      [&](const auto& member) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(member)>, std::monostate>)
          options.*member = GenerateOptions{}.*member;
      },
      field.request);
}

void set_value(GenerateOptions& options, const fields::Field& field, const base::Json& value) {
  if (value.is_null()) {
    set_back(field, options);
  } else {
    fields::set(field, options, value, field.name, field.range);
  }
}

}  // namespace

std::string set_field(GenerateOptions& options, Asked asked, const std::string& name,
                      const std::string& text) {
  const fields::Field& field = find_field(asked, name);
  GenerateOptions changed = options;
  set_value(changed, field, text == "default" ? base::Json() : to_value(field, text));
  fields::check(changed);
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
  if (options.n != 1) {
    base::fail_at(ErrorCode::kInvalidArgument, "n", "a chat shows one answer (expected 1, got ",
                  options.n, ")");
  }
  if (options.logprobs || options.prompt_logprobs) {
    base::fail_at(ErrorCode::kInvalidArgument, options.logprobs ? "logprobs" : "prompt_logprobs",
                  "a chat does not show them");
  }
}

}  // namespace openllm::cli
