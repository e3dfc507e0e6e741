#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/error.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// What --verbose reports at the end of an answer.
struct Timing {
  double load_s = 0.0;
  double first_token_s = 0.0;
  double total_s = 0.0;
  std::size_t n_prompt = 0;
  std::size_t n_cached = 0;
  std::size_t n_generated = 0;
};

void report(const Timing& t) {
  const double prompt_s = t.first_token_s;
  const double answer_s = t.total_s - t.first_token_s;
  std::fprintf(stderr, "load %.2f s; prompt %zu tokens (%zu cached), %.1f tokens/s; answer %zu tokens, %.1f tokens/s\n",
               t.load_s, t.n_prompt, t.n_cached,
               prompt_s > 0.0 ? static_cast<double>(t.n_prompt - t.n_cached) / prompt_s : 0.0, t.n_generated,
               answer_s > 0.0 && t.n_generated > 1 ? static_cast<double>(t.n_generated - 1) / answer_s : 0.0);
}

/// Streams one answer to standard output unless `quiet`; returns its last output.
GenerationOutput answer(const LLM& llm, const Prompt& prompt, GenerateOptions options, bool quiet, Timing& timing) {
  const auto begin = Clock::now();
  GenerationOutput last;
  bool first = true;
  for (const GenerationOutput& output : llm.generate_iterator(prompt, options)) {
    if (first) timing.first_token_s = seconds_since(begin);
    first = false;
    if (!quiet && options.n == 1) print(output.outputs[0].delta);
    if (output.finished) last = output;
  }
  timing.total_s = seconds_since(begin);
  timing.n_prompt = last.prompt_token_ids ? last.prompt_token_ids->size() : 0;
  timing.n_cached = static_cast<std::size_t>(last.n_cached_tokens);
  for (const CompletionChunk& chunk : last.outputs) timing.n_generated += chunk.token_ids.size();
  return last;
}

std::vector<Message> with_system(const std::string& system) {
  if (system.empty()) return {};
  return {{.role = "system", .content = system}};
}

int answer_once(const LLM& llm, const Arguments& arguments, const std::string& text, double load_s) {
  GenerateOptions options = arguments.generate;
  Prompt prompt = text;
  const bool is_text = arguments.prompt_ids.empty();
  const bool chat = is_text && !arguments.raw && llm.info().has_chat_template;
  if (!is_text) prompt = parse_ids(arguments.prompt_ids);
  if (chat) {
    std::vector<Message> messages = with_system(arguments.system);
    messages.push_back({.role = "user", .content = text});
    prompt = messages;
  } else if (!options.max_new_tokens) {
    constexpr int kBaseModelTokens = 128;  // a base model seldom ends by itself
    options.max_new_tokens = kBaseModelTokens;
  }
  const InterruptGuard guard;
  options.stop_token = guard.token();
  Timing timing{.load_s = load_s};
  const GenerationOutput output = answer(llm, prompt, options, arguments.json, timing);
  if (arguments.json) {
    print(to_json(output) + "\n");
  } else if (options.n == 1) {
    print("\n");
  } else {
    for (const CompletionChunk& chunk : output.outputs) print(base::cat("[", chunk.index, "] ", chunk.text, "\n"));
  }
  if (arguments.verbose) report(timing);
  return guard.interrupted() ? 130 : 0;
}

constexpr const char* kChatHelp =
    "/clear forgets the conversation, /system TEXT sets the system message, /exit leaves.\n"
    "Ctrl-C stops an answer; Ctrl-D leaves.\n";

/// A conversation on a terminal.
class ChatSession {
 public:
  ChatSession(const LLM& llm, const Arguments& arguments)
      : llm_(llm), arguments_(arguments), system_(arguments.system), messages_(with_system(system_)) {}

  int run() {
    LineReader reader(">>> ");
    std::fprintf(stderr, "Chat with %s. /help lists the commands.\n", llm_.id().c_str());
    while (true) {
      const LineReader::Line line = reader.read();
      if (line.interrupted) {
        std::fputs("\n(Ctrl-D or /exit leaves)\n", stderr);
        continue;
      }
      if (line.end) break;
      if (line.text.empty()) continue;
      if (line.text.front() == '/') {
        if (!command(line.text)) break;
        continue;
      }
      turn(line.text);
    }
    return 0;
  }

 private:
  /// False: leave.
  bool command(const std::string& text) {
    if (text == "/exit" || text == "/quit" || text == "/bye") return false;
    if (text == "/clear") {
      messages_ = with_system(system_);
    } else if (text.starts_with("/system ")) {
      system_ = text.substr(8);
      messages_ = with_system(system_);
    } else {
      std::fputs(kChatHelp, stderr);
    }
    return true;
  }

  void turn(const std::string& text) {
    messages_.push_back({.role = "user", .content = text});
    const InterruptGuard guard;
    GenerateOptions options = arguments_.generate;
    options.stop_token = guard.token();
    options.n = 1;
    Timing timing;
    try {
      const GenerationOutput output = answer(llm_, messages_, options, false, timing);
      messages_.push_back({.role = "assistant", .content = output.outputs[0].text});
      print(guard.interrupted() ? " (stopped)\n" : "\n");
      if (arguments_.verbose) report(timing);
    } catch (const Error& error) {
      messages_.pop_back();
      std::fprintf(stderr, "error: %s\n", error.what());
    }
  }

  const LLM& llm_;
  const Arguments& arguments_;
  std::string system_;
  std::vector<Message> messages_;
};

}  // namespace

int run_command(const Arguments& arguments) {
  if (!arguments.prompt_ids.empty() && arguments.has_text) {
    base::fail(ErrorCode::kInvalidArgument, "run: give PROMPT or --prompt-ids, not both");
  }
  const bool has_prompt = arguments.has_text || !arguments.prompt_ids.empty();
  std::string text = arguments.text;
  const bool chat = !has_prompt && stdin_is_terminal();
  if (!has_prompt && !chat) text.assign(std::istreambuf_iterator<char>(std::cin), {});

  LoadOptions load = arguments.load;
  load.progress = progress_bar();
  const LLM llm(arguments.model, load);
  const auto begin = Clock::now();
  llm.load();
  const double load_s = seconds_since(begin);
  if (!chat) return answer_once(llm, arguments, text, load_s);
  if (!llm.info().has_chat_template) {
    base::fail(ErrorCode::kUnsupported, llm.id(), ": has no chat template, so there is no chat; give a PROMPT to "
               "continue, or a template with --chat-template");
  }
  return ChatSession(llm, arguments).run();
}

}  // namespace openllm::cli
