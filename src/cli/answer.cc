#include "cli/answer.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "cli/exit_status.h"
#include "cli/options.h"
#include "cli/receipt_file.h"
#include "cli/terminal.h"
#include "fields/access.h"

namespace openllm::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string rate(std::size_t n_tokens, double seconds) {
  char text[48];
  const double tokens = static_cast<double>(n_tokens);
  std::snprintf(text, sizeof(text), "%.1f tokens/s", seconds > 0.0 ? tokens / seconds : 0.0);
  return text;
}

}  // namespace

std::string describe(const Timing& t) {
  char load[32];
  std::snprintf(load, sizeof(load), "load %.2f s", t.load_s);
  // The first output's tokens count to the prompt's time; the others are the work of decoding.
  const std::size_t n_decoded = t.n_answer - std::min(t.n_answer, t.n_first);
  const bool all_at_once = n_decoded == 0;
  const std::string cached = t.n_cached > 0 ? base::cat(" (", t.n_cached, " cached)") : "";
  return base::cat(
      load, " | prompt ", t.n_prompt, " tokens", cached, ", ",
      rate(t.n_prompt - std::min(t.n_prompt, t.n_cached), t.first_token_s), " | answer ",
      t.n_answer, " tokens, ",
      all_at_once ? rate(t.n_answer, t.total_s) : rate(n_decoded, t.total_s - t.first_token_s));
}

GenerationOutput answer(const Responder& responder, const Prompt& prompt,
                        const GenerateOptions& options, Show show, Timing& timing) {
  const auto begin = Clock::now();
  bool first = true;
  const auto on_output = [&](const GenerationOutput& output) {
    if (first) {
      timing.first_token_s = seconds_since(begin);
      timing.n_first = 0;
      for (const CompletionChunk& chunk : output.outputs) timing.n_first += chunk.n_delta_tokens;
    }
    first = false;
    if (show == Show::kStream && output.outputs.size() == 1) print_answer(output.outputs[0].delta);
    return !options.stop_token.stop_requested();
  };
  GenerationOutput last = responder.respond(prompt, options, on_output);
  timing.total_s = seconds_since(begin);
  timing.n_prompt = last.prompt_token_ids ? last.prompt_token_ids->size() : 0;
  timing.n_cached = static_cast<std::size_t>(last.n_cached_tokens);
  timing.n_answer = 0;
  for (const CompletionChunk& chunk : last.outputs) timing.n_answer += chunk.token_ids.size();
  return last;
}

void print_result(const GenerationOutput& output, bool json) {
  if (json) {
    print(to_json(output) + "\n");
  } else if (output.outputs.size() == 1) {
    print_answer(output.outputs[0].text + "\n");
  } else {
    for (const CompletionChunk& chunk : output.outputs)
      print_answer(base::cat("[", chunk.index, "] ", chunk.text, "\n"));
  }
}

int status_of(const GenerationOutput& output, const GenerateOptions& asked,
              const GenerateOptions& options) {
  bool is_cut = false;
  for (const CompletionChunk& chunk : output.outputs) {
    if (chunk.finish_reason == FinishReason::kDeadline) {
      note("openllm: the answer was cut when its time was over\n");
      return exit_status(ErrorCode::kDeadline);
    }
    is_cut = is_cut || chunk.finish_reason == FinishReason::kLength;
  }
  if (is_cut && !fields::has_length(asked)) {
    note(options.max_new_tokens
             ? base::cat("openllm: note: the text was cut after ", *options.max_new_tokens,
                         " tokens (--max-tokens N sets another length)\n")
             : "openllm: note: the answer was cut where its length or the context ended\n");
  }
  return 0;
}

void rethrow_for_user(const Error& error, const std::string& context) {
  if (error.reason() == ErrorReason::kContextTooLong) {
    throw Error(error.code(),
                base::cat("the prompt does not fit into the ", context,
                          " (--truncate-prompt keeps its end)"),
                "prompt", error.reason());
  }
  const fields::Field* field = fields::find(error.where());
  if (field == nullptr || (field->ways & fields::kCommandLine) == 0) throw error;
  throw Error(error.code(), base::cat(error.what(), " (option ", shown_flag(*field), ")"),
              error.where(), error.reason());
}

void check_shown(const Arguments& arguments) {
  const GenerateOptions& options = arguments.generate;
  if (!arguments.json && (options.logprobs || options.prompt_logprobs)) {
    base::fail(ErrorCode::kInvalidArgument, options.logprobs ? "--logprobs" : "--prompt-logprobs",
               ": only --json shows them");
  }
}

void check_receipt(const Arguments& arguments, bool is_chat) {
  if (arguments.generate.receipt_hash_only && arguments.receipt.empty())
    base::fail(ErrorCode::kInvalidArgument, "--receipt-hash-only: needs --receipt FILE");
  if (is_chat && !arguments.receipt.empty())
    base::fail(ErrorCode::kInvalidArgument, "--receipt: needs a PROMPT or standard input");
  check_receipt_path(arguments.receipt);
}

void check_text_is_tokenized(const GenerateOptions& options, std::string_view why_not) {
  if (options.add_special_tokens) return;
  base::fail(ErrorCode::kInvalidArgument,
             "--no-special-tokens: these are special tokens of a text, ", why_not);
}

void check_template_is_used(const GenerateOptions& options, const std::string& system,
                            std::string_view why_not) {
  if (!system.empty())
    base::fail(ErrorCode::kInvalidArgument, "--system: needs a chat template, which ", why_not);
  for (const fields::Field& field : fields::all()) {
    const bool is_of_chats =
        (field.ways & fields::kChat) != 0 && (field.ways & fields::kCompletions) == 0;
    if (!is_of_chats || fields::get(field, options) == fields::get(field, GenerateOptions{}))
      continue;
    base::fail(ErrorCode::kInvalidArgument, shown_flag(field), ": needs a chat template, which ",
               why_not);
  }
}

std::vector<Message> with_system(const std::string& system) {
  if (system.empty()) return {};
  return {{.role = "system", .content = system}};
}

}  // namespace openllm::cli
