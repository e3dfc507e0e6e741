#pragma once

#include <openllm/llm.h>

#include <string>
#include <vector>

namespace openllm::cli {

/// What --verbose reports at the end of an answer.
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

/// Whether the answer goes to standard output as it is made.
enum class Show { kStream, kNothing };

/// Answers one prompt; with Show::kStream only what a single choice says. Returns the last output.
GenerationOutput answer(const LLM& llm, const Prompt& prompt, const GenerateOptions& options,
                        Show show, Timing& timing);

/// The whole output: as JSON, or the text; of several choices each with its number.
void print_result(const GenerationOutput& output, bool json);

/// 0, or what an answer that --timeout cut ends with.
int status_of(const GenerationOutput& output);

/// The conversation's beginning: the system message, or nothing if it is empty.
std::vector<Message> with_system(const std::string& system);

/// A text is continued without end by most base models: unless something else was asked for, by so
/// many tokens.
constexpr int kCompletionTokens = 128;
void limit_completion(const LLM& llm, GenerateOptions& options);

}  // namespace openllm::cli
