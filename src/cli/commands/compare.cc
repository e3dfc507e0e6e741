#include <openllm/compare.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/exit_status.h"
#include "cli/progress_line.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

using base::Json;

/// Every line that is not blank is a prompt.
void add_lines(const std::string& text, std::vector<Prompt>& prompts) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) prompts.emplace_back(std::move(line));
    begin = end + 1;
  }
}

std::vector<Prompt> prompts_of(const CompareArguments& given) {
  std::vector<Prompt> prompts;
  for (const std::string& text : given.prompts) prompts.emplace_back(text);
  for (const std::vector<std::int32_t>& ids : given.prompt_ids) prompts.emplace_back(ids);
  for (const std::string& file : given.files) {
    const std::size_t before = prompts.size();
    add_lines(file == "-" ? read_stdin() : read_text_file(file), prompts);
    if (prompts.size() == before) {
      base::fail(ErrorCode::kInvalidArgument, "--file ", file,
                 ": has no prompt (expected one on each line)");
    }
  }
  return prompts.empty() ? compare_prompts() : prompts;
}

std::string number(double value, const char* format = "%.3g") {
  if (!std::isfinite(value)) return "infinite";
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

std::string percent(double share) {
  // No rounding up: what is not all must not look so.
  return number(std::floor(share * 10000.0) / 100.0, "%.4g") + " %";
}

std::string device_of(const BackendInfo& info) {
  if (info.isa.empty()) return info.device;
  return base::cat(info.device, ", ", info.isa);
}

std::vector<std::string> row_of(const ComparedBackend& backend, const Comparison& comparison) {
  if (backend.code) return {backend.name, "-", "-", "-", "-", "-", "-"};
  return {backend.name,
          device_of(backend.info),
          base::cat(backend.n_same_answers, " of ", comparison.prompts.size()),
          percent(backend.top1_agreement),
          number(backend.kl_mean),
          number(backend.kl_max),
          number(backend.logprob_difference_max)};
}

std::string quoted(const std::string& text) {
  std::string out;
  base::append_json_string(out, text);
  return out;
}

std::string describe(const ComparedToken& token) {
  if (token.token_id < 0) return "the end";
  std::string text = std::to_string(token.token_id);
  if (!token.text.empty()) text += " " + quoted(token.text);
  if (token.gap) text += base::cat(", ahead by ", number(*token.gap));
  return text;
}

void print_notes(const ComparedBackend& backend, const std::string& first) {
  if (backend.code) {
    print(base::cat(backend.name, ": not compared: ", backend.error, "\n"));
    return;
  }
  if (!backend.has_all_logits && backend.n_positions > 0) {
    print(base::cat(backend.name, ": compared by the likeliest tokens; the others have ",
                    number(backend.missing_mean * 100.0), " % of the probability on average, ",
                    number(backend.missing_max * 100.0), " % at most\n"));
  }
  if (backend.differences.empty()) return;
  const TokenDifference& at = backend.differences.front();
  print(base::cat(backend.name, ": the answer to prompt ", at.prompt, " differs from token ",
                  at.position, " on: ", describe(at.got), "; ", first, " has ",
                  describe(at.expected), "\n"));
}

void print_text(const Comparison& comparison) {
  std::vector<std::vector<std::string>> rows{{"BACKEND", "DEVICE", "SAME ANSWERS", "SAME TOP TOKEN",
                                              "MEAN KL", "MOST KL", "MOST LOGPROB"}};
  for (const ComparedBackend& backend : comparison.backends)
    rows.push_back(row_of(backend, comparison));
  print(table(rows));
  const std::string first =
      comparison.first ? comparison.backends[*comparison.first].name : std::string();
  if (comparison.first) {
    print(base::cat("Against ", first, ": ", comparison.prompts.size(), " prompts, ",
                    comparison.backends[*comparison.first].n_positions, " tokens. KL in nats.\n"));
  }
  for (const ComparedBackend& backend : comparison.backends) print_notes(backend, first);
}

Json to_json(const ComparedToken& token) {
  Json json = Json::object();
  json["token_id"] = token.token_id < 0 ? Json() : Json(token.token_id);
  json["text"] = token.text;
  json["gap"] = token.gap ? Json(*token.gap) : Json();
  return json;
}

Json to_json(const TokenDifference& difference) {
  Json json = Json::object();
  json["prompt"] = difference.prompt;
  json["position"] = difference.position;
  json["expected"] = to_json(difference.expected);
  json["got"] = to_json(difference.got);
  return json;
}

Json to_json(const ComparedBackend& backend) {
  Json json = Json::object();
  json["name"] = backend.name;
  json["compared"] = !backend.code.has_value();
  json["error"] = backend.code ? Json(backend.error) : Json();
  json["status"] = backend.code ? exit_status(*backend.code) : 0;
  if (backend.code) return json;
  json["backend"] = backend.info.name;
  json["device"] = backend.info.device;
  json["isa"] = backend.info.isa;
  json["positions"] = backend.n_positions;
  json["all_logits"] = backend.has_all_logits;
  json["missing_mean"] = backend.missing_mean;
  json["missing_max"] = backend.missing_max;
  json["kl_mean"] = backend.kl_mean;
  json["kl_max"] = backend.kl_max;
  json["top1_agreement"] = backend.top1_agreement;
  json["logprob_difference_mean"] = backend.logprob_difference_mean;
  json["logprob_difference_max"] = backend.logprob_difference_max;
  json["same_answers"] = backend.n_same_answers;
  json["differences"] = Json::array();
  for (const TokenDifference& difference : backend.differences)
    json["differences"].push_back(to_json(difference));
  return json;
}

Json ids_of(const std::vector<std::int32_t>& ids) {
  Json list = Json::array();
  for (const std::int32_t id : ids) list.push_back(id);
  return list;
}

Json to_json(const Comparison& comparison) {
  Json json = Json::object();
  json["first"] = comparison.first ? Json(comparison.backends[*comparison.first].name) : Json();
  json["backends"] = Json::array();
  for (const ComparedBackend& backend : comparison.backends)
    json["backends"].push_back(to_json(backend));
  json["prompts"] = Json::array();
  for (const ComparedPrompt& prompt : comparison.prompts) {
    Json entry = Json::object();
    entry["token_ids"] = ids_of(prompt.token_ids);
    entry["answer_token_ids"] = ids_of(prompt.answer_token_ids);
    entry["answer"] = prompt.answer;
    json["prompts"].push_back(std::move(entry));
  }
  return json;
}

/// That of the first backend that could not be compared.
int status_of(const Comparison& comparison) {
  for (const ComparedBackend& backend : comparison.backends) {
    if (backend.code) return exit_status(*backend.code);
  }
  return 0;
}

/// One error is told once: a model that is not there, say.
void throw_if_all_alike(const Comparison& comparison) {
  const ComparedBackend& one = comparison.backends.front();
  const bool is_alike = std::all_of(
      comparison.backends.begin(), comparison.backends.end(),
      [&](const ComparedBackend& other) { return other.code && other.error == one.error; });
  if (is_alike) base::fail(*one.code, one.error);
}

}  // namespace

int compare_command(const Arguments& arguments) {
  if (!arguments.source.words.empty()) {
    base::fail(ErrorCode::kInvalidArgument,
               "one argument too many: ", arguments.source.words.front(),
               " (prompts are given by --prompt)");
  }
  const CompareArguments& given = arguments.compare;
  const ProgressLine progress;
  LoadOptions load = arguments.load;
  load.progress = progress.callback();
  const std::vector<CompareTarget> targets = parse_compare_targets(given.backends, load);
  const Comparison comparison = compare(arguments.model, targets, prompts_of(given), given.options);
  throw_if_all_alike(comparison);
  progress.show("");
  if (arguments.json) {
    print(to_json(comparison).dump() + "\n");
  } else {
    print_text(comparison);
  }
  return status_of(comparison);
}

}  // namespace openllm::cli
