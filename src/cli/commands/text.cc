// Commands about texts, ids and templates, without a model's weights: tokenize, detokenize,
// template.

#include <openllm/text.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "cli/commands/commands.h"
#include "cli/prompt_source.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// The text to look at; on a terminal, without any, what is typed until Ctrl-D.
std::string text_of(const Arguments& arguments, std::string_view command) {
  const std::optional<std::string> text = gather_prompt(arguments.source, command, Blank::kTaken);
  return text ? *text : read_stdin();
}

/// Numbers with commas, spaces or brackets between them.
std::vector<std::int32_t> parse_id_list(std::string_view text) {
  std::vector<std::int32_t> ids;
  while (true) {
    const std::size_t begin = text.find_first_not_of(" \t\r\n,[]");
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(" \t\r\n,[]"));
    std::int32_t id = 0;
    const auto result = std::from_chars(word.data(), word.data() + word.size(), id);
    if (result.ec != std::errc() || result.ptr != word.data() + word.size())
      base::fail_at(ErrorCode::kInvalidArgument, "detokenize", "not a token id: \"",
                    word.substr(0, 40), "\"");
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

base::Json to_json(const Encoding& encoding) {
  base::Json json = base::Json::object();
  json["ids"] = base::Json::array();
  json["tokens"] = base::Json::array();
  json["offsets"] = base::Json::array();
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    json["ids"].push_back(encoding.ids[i]);
    json["tokens"].push_back(encoding.tokens[i]);
    base::Json place = base::Json::array();
    place.push_back(encoding.offsets[i].begin);
    place.push_back(encoding.offsets[i].end);
    json["offsets"].push_back(std::move(place));
  }
  return json;
}

}  // namespace

int tokenize_command(const Arguments& arguments) {
  const TextTokenizer tokenizer(arguments.model);
  const std::string text = text_of(arguments, "tokenize");
  const Encoding encoding =
      tokenizer.encode(text, {.add_special_tokens = arguments.generate.add_special_tokens});
  if (arguments.json) {
    print(to_json(encoding).dump() + "\n");
    return 0;
  }
  for (const std::int32_t id : encoding.ids) {
    std::string quoted;
    base::append_json_string(quoted, tokenizer.token_text(id));
    print(base::cat(id, "\t", quoted, "\n"));
  }
  return 0;
}

int detokenize_command(const Arguments& arguments) {
  const TextTokenizer tokenizer(arguments.model);
  const auto ids = parse_id_list(text_of(arguments, "detokenize"));
  const std::string text =
      tokenizer.decode(ids, arguments.generate.skip_special_tokens.value_or(true));
  if (!arguments.json) {
    print(text + "\n");
    return 0;
  }
  base::Json json = base::Json::object();
  json["text"] = text;
  print(json.dump() + "\n");
  return 0;
}

int template_command(const Arguments& arguments) {
  const std::string data = arguments.data == "-" ? read_stdin() : base::read_file(arguments.data);
  std::error_code ignored;
  const bool is_gguf = arguments.model.ends_with(".gguf");
  const bool is_file = !is_gguf && std::filesystem::is_regular_file(arguments.model, ignored);
  const std::string source =
      is_file ? base::read_file(arguments.model) : chat_template_source(arguments.model);
  print(render_template(source, data, arguments.model));
  return 0;
}

}  // namespace openllm::cli
