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
  for (const std::string_view name : fields::names_of(field)) {
    if (name != field.name) names.emplace_back(name);
  }
  return names;
}

/// Null: none.
base::Json default_of(const Field& field) {
  base::Json value = fields::get(field, fields::initial_config());
  return value.is_null() ? fields::get(field, GenerateOptions{}) : value;
}

std::string range_of(const Field& field) {
  if (field.type == fields::Type::kTokenIds && field.range.min > 0) return "at least one";
  return fields::to_string(field.range);
}

std::string openai_range_of(const Field& field) {
  if (!field.openai_range) return "";
  const auto most = static_cast<std::int64_t>(field.openai_range->max);
  if (field.type == fields::Type::kTexts) return base::cat("at most ", most, " texts");
  if (field.type == fields::Type::kText) return base::cat("at most ", most, " bytes");
  if (field.type == fields::Type::kTokenLists) return base::cat("at most ", most, " lists");
  return fields::to_string(*field.openai_range);
}

std::vector<std::string> neutral_of(const AbsentField& field) {
  std::vector<std::string> values;
  for (const std::string_view value : {field.neutral, field.also_neutral}) {
    if (!value.empty()) values.emplace_back(value);
  }
  if (values.empty()) values.emplace_back("null");
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

/// What each backend does with the field.
base::Json backends_json(std::string_view name) {
  base::Json object = base::Json::object();
  for (const Availability& answer : ask_backends_for_field(std::string(name))) {
    base::Json& cell = object[answer.name];
    cell["works"] = answer.available;
    cell["reason"] = answer.available ? base::Json() : base::Json(answer.reason);
  }
  return object;
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
  row["backends"] = backends_json(field.name);
  return row;
}

void print_json() {
  base::Json list = base::Json::array();
  for (const Field& field : fields::all()) list.push_back(describe(field));
  for (const AbsentField& field : fields::absent()) {
    base::Json row = base::Json::object();
    row["name"] = field.name;
    row["supported"] = false;
    row["bodies_only"] = !field.is_option;
    row["neutral"] = list_of(neutral_of(field));
    row["backends"] = backends_json(field.name);
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
    "- client: bodies that `openllm::Client` and `openllm::HTTPClient` send, where the route takes "
    "it.\n"
    "\n"
    "Names in parentheses are taken wherever the first one is. OpenAI's routes have ranges of "
    "their\n"
    "own. In JSON an empty list, `false` for a field without a default, and -1 for the seed take "
    "back\n"
    "what lower layers of the configuration say.\n";

constexpr const char* kAbsentPage =
    "\n"
    "## Fields that this version cannot honour\n"
    "\n"
    "They are known from other engines and never ignored: these values ask for what happens anyway "
    "and\n"
    "are accepted, any other value is an error that names the field. [serving.md](serving.md) "
    "lists "
    "more\n"
    "names, which bodies of HTTP requests may have.\n"
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
  for (const AbsentField& field : fields::absent()) {
    if (field.is_option)
      page += base::cat("| `", field.name, "` | ", joined(neutral_of(field)), " |\n");
  }
  print(page);
}

constexpr const char* kTakenList =
    "Taken (`x`: under any of the names; two of them are an error):\n"
    "\n"
    "| member | also | completions | chat | native | meaning |\n"
    "| --- | --- | --- | --- | --- | --- |\n";
constexpr const char* kRefusedList =
    "\n"
    "Refused with 400 `unsupported_parameter`, whatever the value, but for `null` and what stands "
    "beside the name:\n"
    "\n"
    "| member | accepted | what comes near |\n"
    "| --- | --- | --- |\n";
constexpr const char* kHarmlessList =
    "\n"
    "Ignored, because no value of theirs can change an answer of this server:\n"
    "\n"
    "| why | members |\n"
    "| --- | --- |\n";

/// Three cells of a table: which routes read the member.
std::string cells_of(unsigned ways) {
  std::string cells;
  for (const fields::Way way : {fields::kCompletions, fields::kChat, fields::kNative})
    cells += (ways & way) != 0 ? " x |" : "  |";
  return cells;
}

std::string code(std::string_view name) { return base::cat("`", name, "`"); }

/// A part of a list in backquotes, separated by commas.
std::string codes(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const std::string& name : names) quoted.push_back(code(name));
  return joined(quoted);
}

std::string taken_rows() {
  std::string rows;
  for (const Field& field : fields::all()) {
    const unsigned ways = field.ways | field.by_hand;
    if ((ways & (fields::kOpenAI | fields::kNative)) == 0) continue;
    std::vector<std::string> others;
    for (const std::string_view name : fields::names_of(field)) others.emplace_back(name);
    const std::string first = others.front();
    others.erase(others.begin());
    rows += base::cat("| ", code(first), " | ", codes(others), " |", cells_of(ways), " ",
                      field.help, " |\n");
  }
  for (const fields::BodyMember& member : fields::body_members())
    rows += base::cat("| ", code(member.name), " |  |", cells_of(member.ways), " ", member.help,
                      " |\n");
  return rows;
}

/// Reasons in the order of the table, each with its members.
std::string harmless_rows() {
  std::vector<std::string_view> reasons;
  for (const fields::HarmlessMember& member : fields::harmless()) {
    if (std::find(reasons.begin(), reasons.end(), member.why) == reasons.end())
      reasons.push_back(member.why);
  }
  std::string rows;
  for (const std::string_view why : reasons) {
    std::vector<std::string> names;
    for (const fields::HarmlessMember& member : fields::harmless()) {
      if (member.why == why) names.emplace_back(member.name);
    }
    rows += base::cat("| ", why, " | ", codes(names), " |\n");
  }
  return rows;
}

void print_bodies() {
  std::string page = kTakenList + taken_rows() + kRefusedList;
  for (const AbsentField& field : fields::absent()) {
    std::vector<std::string> neutral = neutral_of(field);
    std::erase(neutral, "null");
    page += base::cat("| ", code(field.name), " | ", codes(neutral), " | ", field.advice, " |\n");
  }
  print(page + kHarmlessList + harmless_rows());
}

std::string padded(std::string_view text, std::size_t width) {
  std::string cell(text);
  cell.resize(std::max(width, cell.size() + 1), ' ');
  return cell;
}

/// One row for each field, one column for each backend.
void print_matrix() {
  constexpr std::size_t kName = 34;
  constexpr std::size_t kCell = 8;
  const std::vector<Availability> backends = list_backends();
  std::string table = base::cat(
      "\nBy backend (yes: honoured; no: refused by name, unless it asks for nothing; -: there is "
      "no "
      "such\nbackend here)\n",
      padded("", kName));
  for (const Availability& backend : backends) table += padded(backend.name, kCell);
  table += '\n';
  const auto add_row = [&](std::string_view name) {
    table += padded(base::cat("  ", name), kName);
    const std::vector<Availability> answers = ask_backends_for_field(std::string(name));
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const char* refused = backends[i].available ? "no" : "-";
      const char* cell = answers[i].available ? "yes" : refused;
      table += i + 1 < answers.size() ? padded(cell, kCell) : cell;
    }
    table += '\n';
  };
  for (const Field& field : fields::all()) add_row(field.name);
  for (const AbsentField& field : fields::absent()) {
    if (field.is_option) add_row(field.name);
  }
  for (const Availability& backend : backends)
    table += base::cat("  ", padded(backend.name, kCell), backend.reason, "\n");
  print(table);
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
  print("\nMembers of HTTP bodies that are no fields of generation\n");
  for (const fields::BodyMember& member : fields::body_members())
    print(base::cat("  ", member.name, ": ", member.help, "\n"));
  print_matrix();
}

}  // namespace

int fields_command(const Arguments& arguments) {
  if (arguments.json) {
    print_json();
  } else if (arguments.markdown) {
    print_markdown();
  } else if (arguments.bodies) {
    print_bodies();
  } else {
    print_text();
  }
  return 0;
}

}  // namespace openllm::cli
