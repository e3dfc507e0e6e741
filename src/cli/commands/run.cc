#include <chrono>

#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_session.h"
#include "cli/commands/commands.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cli/values.h"

namespace openllm::cli {
namespace {

Prompt make_prompt(const LLM& llm, const Arguments& arguments, const std::string& text,
                   GenerateOptions& options) {
  if (!arguments.prompt_ids && !arguments.raw && llm.info().has_chat_template) {
    std::vector<Message> messages = with_system(arguments.system);
    messages.push_back({.role = "user", .content = text});
    return messages;
  }
  if (!arguments.system.empty()) {
    base::fail(
        ErrorCode::kInvalidArgument, "--system: needs a chat template, which ",
        arguments.prompt_ids ? "token ids do" : (arguments.raw ? "--raw does" : "this model does"),
        arguments.prompt_ids ? " not use" : (arguments.raw ? " not use" : " not have"));
  }
  limit_completion(llm, options);
  if (arguments.prompt_ids) return parse_ids(*arguments.prompt_ids);
  return text;
}

int answer_once(const LLM& llm, const Arguments& arguments, const std::string& text,
                double load_s) {
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  GenerateOptions options = arguments.generate;
  options.stop_token = guard.token();
  const Prompt prompt = make_prompt(llm, arguments, text, options);
  Timing timing{.load_s = load_s};
  const GenerationOutput output =
      answer(llm, prompt, options, arguments.json ? Show::kNothing : Show::kStream, timing);
  if (arguments.json || output.outputs.size() != 1) {
    print_result(output, arguments.json);
  } else {
    print("\n");  // the rest is there already
  }
  if (arguments.verbose) note(describe(timing) + "\n");
  return guard.interrupted() ? kExitInterrupted : status_of(output);
}

}  // namespace

int run_command(const Arguments& arguments) {
  if (arguments.prompt_ids && arguments.text) {
    base::fail(ErrorCode::kInvalidArgument, "run: give PROMPT or --prompt-ids, not both");
  }
  // A wrong list should not cost a load.
  if (arguments.prompt_ids) parse_ids(*arguments.prompt_ids);
  const bool has_prompt = arguments.text || arguments.prompt_ids;
  const bool chat = !has_prompt && stdin_is_terminal();
  if (chat && arguments.json)
    base::fail(ErrorCode::kInvalidArgument, "--json: needs a PROMPT or standard input");

  LoadOptions load = arguments.load;
  load.progress = progress_bar();
  // An unknown model is reported before standard input is read.
  const LLM llm(arguments.model, load);
  const std::string text = has_prompt || chat ? arguments.text.value_or("") : read_stdin();
  const auto begin = std::chrono::steady_clock::now();
  llm.load();
  const double load_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (chat && !llm.info().has_tokenizer) {
    base::fail(ErrorCode::kUnsupported, "run: ", llm.id(),
               " has no tokenizer to chat with (give --prompt-ids)");
  }
  if (chat) return ChatSession(llm, arguments, load_s).run();
  return answer_once(llm, arguments, text, load_s);
}

}  // namespace openllm::cli
