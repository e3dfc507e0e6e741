#pragma once

#include "jinja/syntax/ast.h"
#include "jinja/values/runtime.h"

namespace openllm::jinja {

class Scope;
using ScopePtr = std::shared_ptr<Scope>;

/// The variables of one body. Few per scope, so a linear search does. An object only so that a
/// Runtime can own it.
class Scope final : public Object {
 public:
  explicit Scope(ScopePtr parent) : parent_(std::move(parent)) {}
  const char* type_name() const noexcept override { return "scope"; }

  const Value* find(NameId name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      for (const auto& variable : scope->variables_) {
        if (variable.first == name) return &variable.second;
      }
    }
    return nullptr;
  }
  void set(NameId name, Value value) {
    for (auto& variable : variables_) {
      if (variable.first != name) continue;
      variable.second = std::move(value);
      return;
    }
    variables_.emplace_back(name, std::move(value));
  }
  void clear() noexcept { variables_.clear(); }
  /// True the first time: a macro keeps the scope it was made in alive.
  bool capture() noexcept { return !std::exchange(captured_, true); }

 private:
  ScopePtr parent_;
  std::vector<std::pair<NameId, Value>> variables_;
  bool captured_ = false;
};

}  // namespace openllm::jinja
