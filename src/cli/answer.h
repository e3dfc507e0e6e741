#pragma once

#include <openllm/llm.h>

#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/responder.h"

namespace openllm::cli {

/// Measurements that --verbose reports at the end of an answer.
struct Timing {
  double load_s = 0.0;
  double first_token_s = 0.0;  ///< From the request to its first output.
  double total_s = 0.0;
  std::size_t n_prompt = 0;
  std::size_t n_cached = 0;
  std::size_t n_answer = 0;
  std::size_t n_first = 1;  ///< Of these, tokens that the first output had.
};

/// "load 0.31 s | prompt 36 tokens, 812.3 tokens/s | answer 8 tokens, 120.5 tokens/s"
std::string describe(const Timing& timing);

/// Output while an answer is made: its text on standard output, or nothing.
enum class Show { kStream, kNothing };

/// Answers one prompt. Show::kStream shows the text of a single choice; several choices are not
/// shown before the end. Returns the last output.
GenerationOutput answer(const Responder& responder, const Prompt& prompt,
                        const GenerateOptions& options, Show show, Timing& timing);

/// Prints the whole output: as JSON, or as text, with a number before each of several choices.
void print_result(const GenerationOutput& output, bool json);

/// Exit status for an answer: 0, or that of kDeadline if --timeout cut it. Says so then, and also
/// when the answer was cut by a length that `options` do not ask for. `asked`: what the user gave.
int status_of(const GenerationOutput& output, const GenerateOptions& asked,
              const GenerateOptions& options);

/// Throws the error again, in words of the command line where the library's name its fields.
/// `context`: what a prompt that is too long does not fit into.
[[noreturn]] void rethrow_for_user(const Error& error, const std::string& context);

/// Throws kInvalidArgument for options that this command could only ignore: logprobs that are not
/// shown, special tokens of a text that is no text, settings of a chat template that is not used.
void check_shown(const Arguments& arguments);
/// The same for `--receipt` in chats, which have none, and for a file that it must not replace.
void check_receipt(const Arguments& arguments, bool is_chat);
void check_text_is_tokenized(const GenerateOptions& options, std::string_view why_not);
void check_template_is_used(const GenerateOptions& options, const std::string& system,
                            std::string_view why_not);

/// The conversation's beginning: the system message, or nothing if it is empty.
std::vector<Message> with_system(const std::string& system);

}  // namespace openllm::cli
