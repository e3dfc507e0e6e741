#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::cli {

/// Where the text of a prompt comes from, as the command line says.
struct PromptSource {
  std::vector<std::string> words{};     ///< PROMPT; "-" is standard input.
  std::optional<std::string> prompt{};  ///< -p TEXT; "-" is standard input.
  std::vector<std::string> files{};     ///< -f FILE; "-" is standard input.

  bool is_empty() const noexcept { return words.empty() && !prompt && files.empty(); }
};

/// Whether a text of nothing but spaces, or one that was given as "", is a text.
enum class Blank { kRefused, kTaken };

/// Throws kInvalidArgument for parts that do not go together: a second text, standard input named
/// twice. `command` stands before the message.
void check_source(const PromptSource& source, std::string_view command);

/// The whole text: standard input, then the files, then PROMPT, with a blank line between them.
/// "-" says where standard input stands instead. A terminal is read only where "-" says so.
/// Nothing when there is no part at all: the caller may start a chat on a terminal. Throws
/// kInvalidArgument when what there is has no text, and the errors of reading.
std::optional<std::string> gather_prompt(const PromptSource& source, std::string_view command,
                                         Blank blank = Blank::kRefused);

/// Throws kInvalidArgument when standard input has a text that nothing would use, beside `beside`.
void refuse_standard_input(std::string_view command, std::string_view beside);

}  // namespace openllm::cli
