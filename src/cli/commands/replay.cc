#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/exit_status.h"
#include "cli/progress_line.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// What the user did not set is as the receipt has it.
LoadOptions load_options(LoadOptions given, const LoadOptions& of_receipt) {
  const LoadOptions nothing;
  if (given.backend.empty()) given.backend = of_receipt.backend;
  if (given.device.empty()) given.device = of_receipt.device;
  if (given.kv_dtype == nothing.kv_dtype) given.kv_dtype = of_receipt.kv_dtype;
  if (given.kv_block_size == nothing.kv_block_size) given.kv_block_size = of_receipt.kv_block_size;
  if (given.max_model_len == nothing.max_model_len) given.max_model_len = of_receipt.max_model_len;
  given.fast_activations = given.fast_activations || of_receipt.fast_activations;
  return given;
}

LLM load_model(const Arguments& arguments, const ReceiptModel& wanted,
               const ProgressLine& progress) {
  LoadOptions load = load_options(arguments.load, wanted.load);
  load.progress = progress.callback();
  const std::string& model = arguments.model.empty() ? wanted.tag : arguments.model;
  try {
    return LLM(model, load);
  } catch (const Error& error) {
    // Another model, made for less; that is for the replay to tell.
    if (error.where() == "max_model_len" && arguments.load.max_model_len == 0) {
      load.max_model_len = 0;
      return LLM(model, load);
    }
    if (!arguments.model.empty() || error.reason() != ErrorReason::kModelNotFound) throw;
    base::fail(ErrorCode::kNotFound, "replay: the model of the receipt, ", wanted.name,
               ", is not in the store (give MODEL: its folder or file)");
  }
}

std::string describe(const ReplayResult& result) {
  std::size_t n_tokens = 0;
  for (const CompletionChunk& chunk : result.output.outputs) n_tokens += chunk.token_ids.size();
  if (result.same) {
    const std::size_t n_choices = result.output.outputs.size();
    return base::cat("same: ", n_choices, n_choices == 1 ? " choice, " : " choices, ", n_tokens,
                     n_tokens == 1 ? " token\n" : " tokens\n");
  }
  if (result.choice < 0) return "different: there is no such answer\n";
  if (result.first_different_token < 0) return base::cat("different: choice ", result.choice, "\n");
  return base::cat("different: choice ", result.choice, " from token ",
                   result.first_different_token, " on\n");
}

base::Json to_json(const ReplayResult& result) {
  base::Json json = base::Json::object();
  json["same"] = result.same;
  json["choice"] = result.choice < 0 ? base::Json() : base::Json(result.choice);
  json["first_different_token"] =
      result.first_different_token < 0 ? base::Json() : base::Json(result.first_different_token);
  json["notes"] = base::Json::array();
  for (const std::string& sentence : result.notes) json["notes"].push_back(sentence);
  json["output"] = base::Json::parse(openllm::to_json(result.output), "output");
  return json;
}

}  // namespace

int replay_command(const Arguments& arguments) {
  const std::string receipt = arguments.path == "-" ? read_stdin() : read_text_file(arguments.path);
  const ReceiptModel wanted = receipt_model(receipt);
  const ProgressLine progress;
  const LLM llm = load_model(arguments, wanted, progress);
  const ReplayResult result =
      arguments.prompt_ids ? llm.replay(receipt, *arguments.prompt_ids) : llm.replay(receipt);
  if (arguments.json) {
    print(to_json(result).dump() + "\n");
  } else {
    print(describe(result));
    for (const std::string& sentence : result.notes)
      note(base::cat("openllm: note: ", sentence, "\n"));
  }
  return result.same ? 0 : kExitDifferent;
}

}  // namespace openllm::cli
