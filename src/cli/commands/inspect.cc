// Commands that inspect a model or its tokenizer: logits, inspect.

#include <openllm/inspect.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/progress_line.h"
#include "cli/prompt_source.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// The shortest text that reads back as the same float; JSON has no infinities.
void append_float(std::string& out, float value) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(result.ptr - buffer.data()));
  out += text.find_first_of("in") == std::string_view::npos ? text : "null";
}

/// The text to look at; on a terminal, without any, what is typed until Ctrl-D.
std::string text_of(const Arguments& arguments, std::string_view command) {
  const std::optional<std::string> text = gather_prompt(arguments.source, command, Blank::kTaken);
  return text ? *text : read_stdin();
}

}  // namespace

int logits_command(const Arguments& arguments) {
  if (arguments.prompt_ids && !arguments.source.is_empty()) {
    base::fail(ErrorCode::kInvalidArgument, "logits: give PROMPT or --prompt-ids, not both");
  }
  const ProgressLine progress;
  LoadOptions load = arguments.load;
  load.progress = progress.callback();
  const LLM llm(arguments.model, load);
  std::vector<std::int32_t> ids;
  if (arguments.prompt_ids) {
    refuse_standard_input("logits", "--prompt-ids");
    ids = *arguments.prompt_ids;
  } else {
    ids = llm.tokenize(text_of(arguments, "logits"));
  }
  const std::vector<float> logits = llm.logits(ids);
  // An encoder read the ids of an encoder-decoder model: there is the answer's first position.
  const std::size_t n_rows =
      ids.empty() || !llm.info().is_encoder_decoder ? ids.size() : std::size_t{1};
  const std::size_t vocab = n_rows == 0 ? 0 : logits.size() / n_rows;
  base::Json id_list = base::Json::array();
  for (const std::int32_t id : ids) id_list.push_back(id);
  print("{\"prompt_token_ids\":" + id_list.dump() + ",\"logits\":[");
  std::string row;
  for (std::size_t t = 0; t < n_rows; ++t) {
    row = t == 0 ? "[" : ",[";
    for (std::size_t v = 0; v < vocab; ++v) {
      if (v > 0) row += ',';
      append_float(row, logits[t * vocab + v]);
    }
    print(row + "]");
  }
  print("]}\n");
  return 0;
}

namespace {

base::Json to_json(const Inspection& inspection, const LLM& llm) {
  const ModelInfo& info = inspection.model.info;
  base::Json json = base::Json::object();
  json["id"] = info.id;
  json["tag"] = llm.tag();
  json["path"] = info.path;
  json["architecture"] = info.architecture;
  json["format"] = info.format;
  json["quantisation"] = inspection.quantisation;
  json["weight_types"] = info.weight_types;
  json["n_parameters"] = info.n_parameters;
  json["n_embedding_parameters"] = info.n_embedding_parameters;
  json["weight_bytes"] = info.weight_bytes;
  json["n_layers"] = info.n_layers;
  json["vocab_size"] = info.vocab_size;
  json["max_context"] = llm.info().max_context;
  json["has_tokenizer"] = llm.info().has_tokenizer;
  json["has_chat_template"] = llm.info().has_chat_template;
  base::Json names = base::Json::array();
  for (const std::string& name : inspection.chat_templates) names.push_back(name);
  json["chat_templates"] = std::move(names);
  json["is_encoder_decoder"] = llm.info().is_encoder_decoder;
  base::Json left_out = base::Json::array();
  for (const std::string& part : llm.info().left_out) left_out.push_back(part);
  json["left_out"] = std::move(left_out);
  json["license"] = inspection.license.empty() ? base::Json() : base::Json(inspection.license);
  json["memory_bytes"] = inspection.model.memory_bytes;
  json["kv_bytes_of_context"] = inspection.model.kv_bytes_of_context;
  json["backend"] =
      inspection.backends.chosen.empty() ? base::Json() : base::Json(inspection.backends.chosen);
  json["backend_reason"] = inspection.backends.reason;
  base::Json backends = base::Json::array();
  for (const Availability& backend : inspection.backends.backends) {
    base::Json entry = base::Json::object();
    entry["name"] = backend.name;
    entry["available"] = backend.available;
    entry["reason"] = backend.reason;
    backends.push_back(std::move(entry));
  }
  json["backends"] = std::move(backends);
  json["config"] = base::Json::parse(llm.config().model_dump_json(true), "config");
  base::Json tensors = base::Json::array();
  for (const TensorGroup& group : inspection.tensors) {
    base::Json entry = base::Json::object();
    entry["name"] = group.name;
    entry["type"] = group.type;
    base::Json shape = base::Json::array();
    for (const std::int64_t n : group.shape) shape.push_back(n);
    entry["shape"] = std::move(shape);
    entry["n_tensors"] = group.n_tensors;
    entry["n_elements"] = group.n_elements;
    entry["n_bytes"] = group.n_bytes;
    tensors.push_back(std::move(entry));
  }
  json["tensors"] = std::move(tensors);
  return json;
}

void print_tensors(const std::vector<TensorGroup>& tensors) {
  std::size_t widest = 0;
  for (const TensorGroup& group : tensors) widest = std::max(widest, group.name.size());
  print("tensors:\n");
  for (const TensorGroup& group : tensors) {
    std::string name = group.name;
    name.resize(widest, ' ');
    std::string shape;
    for (const std::int64_t n : group.shape) shape += base::cat(shape.empty() ? "" : ", ", n);
    print(base::cat("  ", name, "  ", group.n_tensors, " x ", group.type, " [", shape, "], ",
                    group.n_bytes, " bytes\n"));
  }
}

}  // namespace

int inspect_command(const Arguments& arguments) {
  const Inspection inspection = inspect(arguments.model, arguments.load);
  LoadOptions lazy = arguments.load;
  lazy.eager = false;
  const LLM llm(arguments.model, lazy);
  const base::Json json = to_json(inspection, llm);
  if (arguments.json) {
    print(json.dump() + "\n");
    return 0;
  }
  for (const auto& [key, value] : *json.if_object()) {
    if (key == "tensors" || key == "backends") continue;
    const std::string* text = value.if_string();
    print(base::cat(key, ": ", text != nullptr ? *text : value.dump(), "\n"));
  }
  for (const Availability& backend : inspection.backends.backends)
    print(base::cat("backend ", backend.name, ": ",
                    backend.available ? "" : "not: ", backend.reason, "\n"));
  print_tensors(inspection.tensors);
  return 0;
}

}  // namespace openllm::cli
