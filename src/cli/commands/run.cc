#include <chrono>
#include <cstdio>
#include <stop_token>

#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_session.h"
#include "cli/chat_settings.h"
#include "cli/commands/commands.h"
#include "cli/download_report.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/progress_line.h"
#include "cli/receipt_file.h"
#include "cli/tell_backend.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

bool uses_template(const LLM& llm, const Arguments& arguments) {
  return !arguments.prompt_ids && !arguments.raw && llm.info().has_chat_template;
}

Prompt make_prompt(const LLM& llm, const Arguments& arguments, const std::string& text,
                   GenerateOptions& options) {
  if (uses_template(llm, arguments)) {
    check_text_is_tokenized(options, "which the chat template writes itself");
    std::vector<Message> messages = with_system(arguments.system);
    messages.push_back({.role = "user", .content = text});
    return messages;
  }
  check_template_is_used(options, arguments.system,
                         arguments.prompt_ids ? "token ids do not use"
                         : arguments.raw      ? "--raw does not use"
                                              : "this model does not have");
  if (!fields::has_length(options))
    options.max_new_tokens = LocalResponder(llm).completion_tokens();
  if (arguments.prompt_ids) return *arguments.prompt_ids;
  return text;
}

/// The first answer of a model leaves a copy of its packed weights, so that the next one comes
/// sooner. A server writes it while nobody asks; here there is no such time.
void keep_packed_copy(const LLM& llm, const Arguments& arguments, const std::stop_token& stop) {
  if (llm.is_writing_packed_copy()) {
    std::fflush(stdout);  // whoever reads the answer need not wait
    if (stderr_is_terminal())
      note("openllm: keeping a packed copy for quicker starts; Ctrl-C leaves it\n");
    llm.finish_packed_copy(stop);
  }
  if (arguments.verbose) note(base::cat("openllm: debug: ", llm.packed_copy(), "\n"));
}

int answer_once(const LLM& llm, const Arguments& arguments, const std::string& text,
                double load_s) {
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  GenerateOptions options = arguments.generate;
  options.stop_token = guard.token();
  const Prompt prompt = make_prompt(llm, arguments, text, options);
  Timing timing{.load_s = load_s};
  GenerationOutput output;
  try {
    output = answer(LocalResponder(llm), prompt, options,
                    arguments.json ? Show::kNothing : Show::kStream, timing);
  } catch (const Error& error) {
    rethrow_for_user(error, base::cat("context of ", llm.info().max_context, " tokens"));
  }
  if (arguments.json || output.outputs.size() != 1) {
    print_result(output, arguments.json);
  } else {
    print("\n");  // the rest is there already
  }
  write_receipt(arguments.receipt, output);
  if (arguments.verbose) note(describe(timing) + "\n");
  keep_packed_copy(llm, arguments, guard.token());
  return guard.interrupted() ? kExitInterrupted : status_of(output, arguments.generate, options);
}

/// What the command line alone shows to be wrong should cost neither a load nor a wait.
void check(const Arguments& arguments, bool is_chat) {
  if (arguments.prompt_ids && !arguments.source.is_empty()) {
    base::fail(ErrorCode::kInvalidArgument, "run: give PROMPT or --prompt-ids, not both");
  }
  if (is_chat && arguments.json)
    base::fail(ErrorCode::kInvalidArgument, "--json: needs a PROMPT or standard input");
  check_receipt(arguments, is_chat);
  if (arguments.prompt_ids)
    check_text_is_tokenized(arguments.generate, "which token ids have or have not");
  if (is_chat) {
    check_for_chat(arguments.generate);
  } else {
    check_shown(arguments);
  }
  if (arguments.raw || arguments.prompt_ids) {
    check_template_is_used(arguments.generate, arguments.system,
                           arguments.raw ? "--raw does not use" : "token ids do not use");
  }
}

}  // namespace

int run_command(const Arguments& arguments) {
  const bool chats = is_chat(arguments);
  check(arguments, chats);
  const ProgressLine progress;
  LoadOptions load = arguments.load;
  load.progress = progress.callback();
  // An unknown model is reported before standard input is read.
  const LLM llm = open_model(arguments.model, load, Told::kOnTerminal, progress);
  std::string text;
  if (arguments.prompt_ids) {
    refuse_standard_input("run", "--prompt-ids");
  } else if (!chats) {
    text = gather_prompt(arguments.source, "run").value_or("");
  }
  const auto begin = std::chrono::steady_clock::now();
  llm.load();
  if (const std::string parts = describe_left_out(llm); !parts.empty()) note(parts);
  if (arguments.verbose) tell_backend(llm);
  const double load_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (chats && !llm.info().has_tokenizer) {
    base::fail(ErrorCode::kUnsupported, "run: ", llm.id(),
               " has no tokenizer to chat with (give --prompt-ids)");
  }
  if (!chats) return answer_once(llm, arguments, text, load_s);
  const LocalResponder responder(llm);
  return ChatSession(responder, arguments, Asked::kLlm, load_s).run();
}

}  // namespace openllm::cli
