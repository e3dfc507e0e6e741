#pragma once

#include "jinja/values/runtime.h"

namespace openllm::jinja {

/// namespace(): the one thing a template may change.
class NamespaceObject final : public Object {
 public:
  const char* type_name() const noexcept override { return "Namespace"; }
  std::string repr(Runtime& runtime) override;
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  void set(Runtime& runtime, const std::string& name, Value value);
  void clear() noexcept { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

}  // namespace openllm::jinja
