#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "jinja/limits.h"

namespace openllm::jinja {

/// A Jinja template, with the semantics of Jinja2's
/// ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, loopcontrols) as
/// transformers' apply_chat_template uses it. Thread safety: const methods from any thread.
class Template {
 public:
  /// Throws kInvalidArgument "NAME: line N: ...", and so does render; `name` is what messages call
  /// the template.
  static Template parse(std::string_view source, std::string_view name = "template");
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// `context` is an object with the variables of the template. raise_exception() gives
  /// kInvalidArgument with its message; strftime_now uses the local time.
  std::string render(const base::Json& context, const Limits& limits = {}) const;

  /// As find_sought_texts in syntax/sought_texts.h.
  std::vector<std::string> sought_texts() const;
  /// False if no value of the variable can change what the template renders, because its text never
  /// reads it.
  bool reads(std::string_view variable) const;
  /// The same for a member of the objects in the list `messages`.
  bool reads_in_messages(std::string_view member) const;

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm::jinja
