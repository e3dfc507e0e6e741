#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "fields/access.h"

namespace openllm::cli {
namespace {

using fields::AbsentField;
using fields::Field;

/// Where fields come in, by the names that are printed.
std::vector<std::string> ways_of(const Field& field) {
  struct Name {
    fields::Way way;
    const char* name;
  };
  constexpr std::array<Name, 5> kNames{{{fields::kCommandLine, "command line"},
                                        {fields::kCompletions, "completions"},
                                        {fields::kChat, "chat"},
                                        {fields::kNative, "native routes"},
                                        {fields::kClient, "client"}}};
  std::vector<std::string> ways;
  if (fields::has_config(field)) ways.emplace_back("configuration");
  for (const auto& [way, name] : kNames) {
    if ((field.ways & way) != 0) ways.emplace_back(name);
  }
  return ways;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

/// The names besides `name`.
std::vector<std::string> aliases_of(const Field& field) {
  std::vector<std::string> names;
  for (const std::string_view name : {field.openai, field.alias}) {
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

/// Null: none.
base::Json default_of(const Field& field) {
  base::Json value = fields::get(field, fields::initial_config());
  return value.is_null() ? fields::get(field, GenerateOptions{}) : value;
}

std::string range_of(const Field& field) { return fields::to_string(field.range); }

std::string openai_range_of(const Field& field) {
  if (!field.openai_range) return "";
  const auto most = static_cast<std::int64_t>(field.openai_range->max);
  if (field.type == fields::Type::kTexts) return base::cat("at most ", most, " texts");
  if (field.type == fields::Type::kText) return base::cat("at most ", most, " bytes");
  return fields::to_string(*field.openai_range);
}

std::vector<std::string> neutral_of(const AbsentField& field) {
  std::vector<std::string> values{std::string(field.neutral)};
  if (!field.also_neutral.empty()) values.emplace_back(field.also_neutral);
  return values;
}

std::string all_flags(const Field& field) {
  std::string flag = flag_of(field);
  flag.erase(std::remove(flag.begin(), flag.end(), '!'), flag.end());
  return flag;
}

base::Json list_of(const std::vector<std::string>& texts) {
  base::Json list = base::Json::array();
  for (const std::string& text : texts) list.push_back(text);
  return list;
}

base::Json describe(const Field& field) {
  base::Json row = base::Json::object();
  row["name"] = field.name;
  row["aliases"] = list_of(aliases_of(field));
  row["option"] = all_flags(field);
  row["type"] = fields::to_string(field.type);
  row["group"] = fields::to_string(field.group);
  row["default"] = default_of(field);
  row["range"] = range_of(field);
  row["openai_range"] = openai_range_of(field);
  row["ways"] = list_of(ways_of(field));
  row["help"] = field.help;
  row["supported"] = true;
  return row;
}

void print_json() {
  base::Json list = base::Json::array();
  for (const Field& field : fields::all()) list.push_back(describe(field));
  for (const AbsentField& field : fields::absent()) {
    base::Json row = base::Json::object();
    row["name"] = field.name;
    row["supported"] = false;
    row["neutral"] = list_of(neutral_of(field));
    list.push_back(std::move(row));
  }
  print(list.dump() + "\n");
}

constexpr const char* kPage =
    "# Fields of requests\n"
    "\n"
    "This page is made by `openllm fields --markdown`; `openllm fields --json` is for programs.\n"
    "\n"
    "Every field has one row in `src/fields/table.cc`, whatever way it comes in:\n"
    "\n"
    "- configuration: `LLMConfig`, `generation_config.json`, `OPENLLM_CONFIG`,\n"
    "  `OPENLLM_GENERATION_<FIELD>`, `OPENLLM_SAMPLING_<FIELD>`, options of `openllm start`;\n"
    "- command line: options of `openllm run`, and of `openllm query` where a server takes the "
    "field;\n"
    "- completions, chat, native routes: bodies of requests to `/v1/completions`, to\n"
    "  `/v1/chat/completions` and to the routes of our own;\n"
    "- client: bodies that `openllm::Client` sends.\n"
    "\n"
    "Names in parentheses are taken wherever the first one is. OpenAI's routes have ranges of "
    "their\n"
    "own.\n";

constexpr const char* kAbsentPage =
    "\n"
    "## Fields that this version cannot honour\n"
    "\n"
    "They are known from other engines and never ignored: these values ask for what happens anyway "
    "and\n"
    "are accepted, any other value is an error that names the field.\n"
    "\n"
    "| field | accepted |\n"
    "| --- | --- |\n";

void print_markdown() {
  std::string page = kPage;
  std::string group;
  for (const Field& field : fields::all()) {
    if (group != fields::to_string(field.group)) {
      group = fields::to_string(field.group);
      page += base::cat(
          "\n## ", group,
          "\n\n| field | option | type | default | range | on OpenAI's routes | comes in by |\n"
          "| --- | --- | --- | --- | --- | --- | --- |\n");
    }
    std::string names = base::cat("`", field.name, "`");
    for (const std::string& alias : aliases_of(field)) names += base::cat(" (`", alias, "`)");
    const base::Json value = default_of(field);
    const std::string openai = openai_range_of(field);
    page += base::cat("| ", names, "<br>", field.help, " | `", all_flags(field), "` | ",
                      fields::to_string(field.type), " | ", value.is_null() ? "" : value.dump(),
                      " | ", range_of(field), " | ", openai.empty() ? range_of(field) : openai,
                      " | ", joined(ways_of(field)), " |\n");
  }
  page += kAbsentPage;
  for (const AbsentField& field : fields::absent())
    page += base::cat("| `", field.name, "` | ", joined(neutral_of(field)), " |\n");
  print(page);
}

void print_text() {
  std::string_view group;
  for (const Field& field : fields::all()) {
    if (group != fields::to_string(field.group)) {
      print(base::cat(group.empty() ? "" : "\n", fields::to_string(field.group), "\n"));
      group = fields::to_string(field.group);
    }
    const base::Json value = default_of(field);
    const std::string range = range_of(field);
    const std::string aliases = joined(aliases_of(field));
    print(base::cat("  ", field.name, aliases.empty() ? "" : " (" + aliases + ")", ": ",
                    fields::to_string(field.type), range.empty() ? "" : ", " + range,
                    value.is_null() ? "" : "; default " + value.dump(), "\n      ", field.help,
                    "\n"));
  }
  print("\nKnown, but only accepted while they ask for nothing\n");
  for (const AbsentField& field : fields::absent())
    print(base::cat("  ", field.name, ": ", joined(neutral_of(field)), "\n"));
}

}  // namespace

int fields_command(const Arguments& arguments) {
  if (arguments.json) {
    print_json();
  } else if (arguments.markdown) {
    print_markdown();
  } else {
    print_text();
  }
  return 0;
}

}  // namespace openllm::cli
