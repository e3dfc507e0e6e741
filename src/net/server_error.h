#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "openllm/error.h"

// What servers answer that is wrong, or says what went wrong.
namespace openllm::net {

/// Begins the messages about answers of another shape than they should have.
inline constexpr std::string_view kAnswer = "server's answer";

/// In place of the status, of an error within an answer that had begun.
inline constexpr int kWithinAnswer = 0;

/// Parses an answer or an event of the server. Throws kIo when it is not JSON, and the error that
/// the server reports within an answer of status 200 or within an event.
base::Json parse_answer(std::string_view text);

/// The error that a body describes; its message is, for bodies of unknown shapes, the status and
/// the beginning of the text.
Error make_error(int status, std::string_view body);

/// A server's text made fit for display: valid UTF-8, one line, no control characters.
std::string printable(std::string_view text);

/// Runs `read`, in which a wrong type is the server's fault, not the caller's: kIo.
template <typename Read>
void read_answer(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw Error(ErrorCode::kIo, error.what());
  }
}

}  // namespace openllm::net
