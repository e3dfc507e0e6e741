#pragma once

namespace openllm::base {

/// Whose code the calling thread runs.
enum class ThreadRole {
  kForeign,  ///< Nothing of the library waits for this thread.
  kServing,  ///< A thread that requests need to go on: it prepares prompts, makes text of tokens or
             ///< resumes coroutines, and so it may come to run code of the program.
};

/// Of the calling thread; kForeign until it is set.
ThreadRole thread_role() noexcept;
void set_thread_role(ThreadRole role) noexcept;

}  // namespace openllm::base
