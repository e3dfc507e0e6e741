#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace openllm::chat {

/// What a template may use up, so that a hostile one ends with an error.
struct TemplateLimits {
  std::size_t max_output_bytes = std::size_t{16} << 20U;
  std::size_t max_operations = 20'000'000;
  int max_depth = 128;  ///< Nesting of expressions and blocks, and of calls.
};

/// A Jinja chat template, with the semantics of Jinja2's
/// ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, loopcontrols) as
/// transformers' apply_chat_template uses it. Thread safety: const methods from any thread.
class Template {
 public:
  /// Throws kInvalidArgument "chat template: line N: ..." .
  static Template parse(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// `context` is an object: messages, tools, bos_token, eos_token, add_generation_prompt, ... and
  /// anything else the template may ask for. raise_exception() gives kInvalidArgument with its
  /// message; strftime_now uses the local time.
  std::string render(const base::Json& context, const TemplateLimits& limits = {}) const;

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::chat
