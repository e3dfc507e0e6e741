#pragma once

#include <openllm/options.h>

#include <string>
#include <string_view>

namespace openllm::cli {

/// A callback that draws the progress of loading on standard error; empty when that is no terminal.
ProgressCallback progress_bar();
/// Removes the bar that a failed load left behind.
void clear_progress_bar();

bool stdin_is_terminal();
/// True if standard error is a terminal that knows control sequences.
bool stderr_is_terminal();
/// Columns of the terminal on standard error; 80 when it does not say.
int terminal_width();
/// All of standard input, without one line end at its end. Throws kIo when it cannot be read.
std::string read_stdin();
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
