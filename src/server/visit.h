#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "openllm/llm.h"
#include "server/admission.h"
#include "server/model_set.h"
#include "server/routes.h"

namespace openllm::server {

std::chrono::milliseconds to_milliseconds(Admission::Seconds seconds);
Error busy_error(const std::string& what, Admission::Seconds wait);
Error long_wait_error(Admission::Seconds wait, Admission::Seconds allowed);
/// Whether the queue has places for `n` choices of one request, however long they would wait there.
bool has_room(const EngineStats& stats, std::int64_t n);
/// What a request of `n` choices was refused for want of, as metrics call it.
const char* lacking(const LLM& llm, std::int64_t n, const Error& error);

/// A request on its way past its model's admission, to its end. I/O thread only.
class Visit {
 public:
  Visit(const Call& call, const ModelEntry& model);
  ~Visit();
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  const std::string& tenant() const noexcept { return visitor_.tenant; }
  /// How long the engine may let it wait. Fails with kBusy when it is clear before any work that it
  /// would be longer. Who has nothing else here is judged by the engine alone, which knows whose
  /// turn it is.
  std::optional<std::chrono::milliseconds> allowed_wait();
  /// The engine has taken it.
  void taken();
  /// The error of one that was not taken: when it may come again depends on what others were told.
  Error refused(const Error& error);

 private:
  const LLM& llm_;
  Admission& admission_;
  const Admission::Visitor visitor_;
  bool was_taken_ = false;
};

}  // namespace openllm::server
