#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace openllm::cli {

bool stdin_is_terminal();
/// True if standard error is a terminal that knows control sequences.
bool stderr_is_terminal();
/// Columns of the terminal on standard error; 80 when it does not say.
int terminal_width();
/// Columns that the text takes up on a terminal. Wide characters count twice where the program's
/// locale knows them.
std::size_t columns_of(std::string_view text);

/// Longest text that standard input or a file may have, in bytes.
constexpr std::size_t kMaxInputBytes = std::size_t{256} << 20U;
/// All of standard input, without one line end at its end. When nothing comes for some seconds it
/// says so on standard error. Throws kIo when it cannot be read, kInvalidArgument when it is too
/// long.
std::string read_stdin();
/// The same of a file, or of a pipe that has a name. Throws kNotFound too.
std::string read_text_file(const std::string& path);
/// Writes to standard output at once. A closed pipe ends the program as quietly as it ends others.
/// Throws kIo when the disk is full and the like.
void print(std::string_view text);
/// `print` for the text of a model. On a terminal, control characters are replaced: a prompt of
/// somebody else could have made the model write orders to the terminal.
void print_answer(std::string_view text);
/// The text with U+FFFD for every control character but line ends and tabs; carriage returns go.
std::string without_controls(std::string_view text);
/// Writes to standard error: everything that is not a result.
void note(std::string_view text);

}  // namespace openllm::cli
