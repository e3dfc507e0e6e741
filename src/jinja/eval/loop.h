#pragma once

#include "jinja/eval/scope.h"
#include "jinja/values/iterables.h"

namespace openllm::jinja {

class Interpreter;

/// The `loop` variable: also drives the loop, one item ahead only where a template asks.
class LoopObject final : public Object, public std::enable_shared_from_this<LoopObject> {
 public:
  /// `statement` and `scope` serve recursive calls; `statement` is null for a loop that is not
  /// recursive.
  LoopObject(Interpreter& interpreter, std::unique_ptr<Iterator> items,
             std::optional<std::size_t> length, int depth0);
  void make_recursive(const Stmt& statement, ScopePtr scope) {
    statement_ = &statement;
    scope_ = std::move(scope);
  }
  const char* type_name() const noexcept override { return "LoopContext"; }
  std::string repr(Runtime& runtime) override;
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  std::optional<std::size_t> length(Runtime& runtime) override { return count(runtime); }
  bool callable() const noexcept override { return true; }
  Value call(Runtime& runtime, const Args& args) override;
  bool next(Value& out);
  /// Drops what it holds, as its scope may live on in a macro.
  void finish() noexcept;
  Value cycle(const Args& args) const;
  bool changed(Runtime& runtime, const Args& args);

 private:
  bool peek();
  std::size_t count(Runtime& runtime);

  Interpreter& interpreter_;
  std::unique_ptr<Iterator> items_;
  std::vector<Value> ahead_;  ///< Items fetched early, last one first.
  std::optional<std::size_t> length_;
  Value before_;
  Value current_;
  std::optional<std::vector<Value>> last_changed_;
  std::int64_t index0_ = -1;
  int depth0_;
  bool owned_ = false;
  const Stmt* statement_ = nullptr;
  ScopePtr scope_;
};

}  // namespace openllm::jinja
