#include "cli/prompt_source.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

constexpr std::string_view kStandardInput = "-";

bool has_text(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") != std::string_view::npos;
}

}  // namespace

void check_source(const PromptSource& source, std::string_view command) {
  std::vector<std::string> texts = source.words;
  if (source.prompt) texts.push_back(*source.prompt);
  const auto is_input = [](const std::string& text) { return text == kStandardInput; };
  const auto n_inputs = std::count_if(texts.begin(), texts.end(), is_input) +
                        std::count_if(source.files.begin(), source.files.end(), is_input);
  if (n_inputs > 1) {
    base::fail(ErrorCode::kInvalidArgument, command,
               ": standard input is named twice (expected one \"-\")");
  }
  texts.erase(std::remove_if(texts.begin(), texts.end(), is_input), texts.end());
  if (texts.size() < 2) return;
  if (source.prompt) {
    base::fail(ErrorCode::kInvalidArgument, command, ": give PROMPT or --prompt, not both");
  }
  base::fail(ErrorCode::kInvalidArgument, "one argument too many: ", texts[1],
             texts[1].starts_with('-')
                 ? " (options stand before --)"
                 : " (a text of several words is one argument when it is quoted)");
}

std::optional<std::string> gather_prompt(const PromptSource& source, std::string_view command,
                                         Blank blank) {
  std::vector<std::string> parts;
  bool is_input_named = false;
  const auto add = [&](const std::string& given, bool is_file) {
    const bool is_input = given == kStandardInput;
    is_input_named = is_input_named || is_input;
    parts.push_back(is_input ? read_stdin() : (is_file ? read_text_file(given) : given));
  };
  for (const std::string& file : source.files) add(file, true);
  for (const std::string& word : source.words) add(word, false);
  if (source.prompt) add(*source.prompt, false);
  if (!is_input_named && !stdin_is_terminal()) {
    std::string input = read_stdin();
    if (parts.empty() || has_text(input)) parts.insert(parts.begin(), std::move(input));
  }
  if (parts.empty()) return std::nullopt;

  std::string whole;
  for (const std::string& part : parts)
    whole += (whole.empty() || part.empty() ? "" : "\n\n") + part;
  const bool is_nothing = whole.empty() && source.is_empty();
  if (blank == Blank::kTaken ? is_nothing : !has_text(whole)) {
    base::fail(ErrorCode::kInvalidArgument, command,
               ": there is no text (expected one as an argument, in a file by -f FILE, or on "
               "standard input)");
  }
  return whole;
}

void refuse_standard_input(std::string_view command, std::string_view beside) {
  if (stdin_is_terminal() || !has_text(read_stdin())) return;
  base::fail(ErrorCode::kInvalidArgument, command, ": standard input has a text beside ", beside,
             " (expected one of them; </dev/null gives none)");
}

}  // namespace openllm::cli
