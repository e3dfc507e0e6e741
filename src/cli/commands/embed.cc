// Commands that ask a model for vectors and scores: embed, score, rerank.

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/interrupt.h"
#include "cli/progress_line.h"
#include "cli/prompt_source.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// The shortest text that reads back as the same float.
void append_float(std::string& out, float value) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  out.append(buffer.data(), result.ptr);
}

std::string joined(const std::vector<float>& values, std::string_view between) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += between;
    append_float(text, values[i]);
  }
  return text;
}

void add_lines(std::string_view text, std::vector<std::string>& lines) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

/// The texts of the command line, then those of files; standard input where there are none.
std::vector<std::string> gather_texts(const Arguments& arguments) {
  std::vector<std::string> texts = arguments.texts;
  for (const std::string& file : arguments.text_files)
    add_lines(file == "-" ? read_stdin() : read_text_file(file), texts);
  if (arguments.texts.empty() && arguments.text_files.empty()) add_lines(read_stdin(), texts);
  return texts;
}

LLM open(const Arguments& arguments, const ProgressLine& progress) {
  LoadOptions load = arguments.load;
  load.progress = progress.callback();
  return LLM(arguments.model, load);
}

base::Json numbers_of(const std::vector<std::int32_t>& ids) {
  base::Json list = base::Json::array();
  for (const std::int32_t id : ids) list.push_back(id);
  return list;
}

void print_embeddings(const Arguments& arguments, const EmbedOutput& output) {
  if (!arguments.json) {
    for (const Embedding& embedding : output.embeddings)
      print(joined(embedding.values, " ") + "\n");
    return;
  }
  std::string all;
  for (const Embedding& embedding : output.embeddings)
    all += base::cat(all.empty() ? "" : ",", "[", joined(embedding.values, ","), "]");
  std::string json = "{";
  if (output.embeddings.size() == 1) json += base::cat("\"embedding\":", all, ",");
  if (arguments.prompt_ids)
    json += base::cat("\"prompt_token_ids\":", numbers_of(*arguments.prompt_ids).dump(), ",");
  print(base::cat(json, "\"embeddings\":[", all, "],\"n_tokens\":", output.n_tokens, "}\n"));
}

struct Scoring {
  std::string query{};
  std::vector<std::string> documents{};
};

Scoring gather_scoring(const Arguments& arguments) {
  std::vector<std::string> texts = gather_texts(arguments);
  if (texts.size() < 2) {
    base::fail(ErrorCode::kInvalidArgument, arguments.command,
               ": expected a query and at least one document, got ", texts.size(),
               texts.size() == 1 ? " text" : " texts");
  }
  Scoring scoring{texts.front(), {}};
  scoring.documents.assign(texts.begin() + 1, texts.end());
  return scoring;
}

}  // namespace

int embed_command(const Arguments& arguments) {
  const ProgressLine progress;
  const LLM llm = open(arguments, progress);
  std::vector<Prompt> inputs;
  if (arguments.prompt_ids) {
    if (!arguments.texts.empty() || !arguments.text_files.empty())
      base::fail(ErrorCode::kInvalidArgument, "embed: give texts or --prompt-ids, not both");
    refuse_standard_input("embed", "--prompt-ids");
    inputs.emplace_back(*arguments.prompt_ids);
  } else {
    for (std::string& text : gather_texts(arguments)) inputs.emplace_back(std::move(text));
  }
  if (inputs.empty())
    base::fail(ErrorCode::kInvalidArgument, "embed: there is no text (expected at least one)");
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  EmbedOptions options = arguments.embed;
  options.stop_token = guard.token();
  print_embeddings(arguments, llm.embed(inputs, options));
  return 0;
}

int score_command(const Arguments& arguments) {
  const ProgressLine progress;
  const LLM llm = open(arguments, progress);
  const Scoring scoring = gather_scoring(arguments);
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  EmbedOptions options = arguments.embed;
  options.stop_token = guard.token();
  const ScoreOutput output = llm.score(scoring.query, scoring.documents, options);
  print(arguments.json ? base::cat("{\"scores\":[", joined(output.scores, ","),
                                   "],\"n_tokens\":", output.n_tokens, "}\n")
                       : joined(output.scores, "\n") + "\n");
  return 0;
}

int rerank_command(const Arguments& arguments) {
  const ProgressLine progress;
  const LLM llm = open(arguments, progress);
  const Scoring scoring = gather_scoring(arguments);
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  EmbedOptions options = arguments.embed;
  options.stop_token = guard.token();
  const RerankOutput output =
      llm.rerank(scoring.query, scoring.documents, arguments.top_n, options);
  std::string list;
  for (const RankedDocument& result : output.results) {
    const std::string& document = scoring.documents[static_cast<std::size_t>(result.index)];
    if (arguments.json) {
      list += base::cat(list.empty() ? "" : ",", "{\"index\":", result.index,
                        ",\"score\":", joined({result.score}, ""), ",\"document\":");
      base::append_json_string(list, document);
      list += "}";
    } else {
      list += base::cat(joined({result.score}, ""), "\t", document, "\n");
    }
  }
  print(arguments.json
            ? base::cat("{\"results\":[", list, "],\"n_tokens\":", output.n_tokens, "}\n")
            : list);
  return 0;
}

}  // namespace openllm::cli
