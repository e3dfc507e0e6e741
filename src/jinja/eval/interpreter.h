#pragma once

#include "base/json.h"
#include "jinja/eval/loop.h"

namespace openllm::jinja {

/// Walks the tree of one template with one context.
class Interpreter final : public Runtime {
 public:
  Interpreter(const Ast& ast, const base::Json& context, const Limits& limits);
  ~Interpreter() override;

  std::string run();
  std::optional<Value> find_method(const Value& value, std::string_view name) override;

  // For macros and loops.
  Value call_macro(const Stmt& statement, const ScopePtr& scope, bool is_caller, const Args& args);
  std::string run_recursive(const Stmt& statement, const ScopePtr& scope, const Value& items,
                            int depth0);
  bool test(const Expr& expr, const ScopePtr& scope);
  void assign(const Expr& target, const Value& value, const ScopePtr& scope);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Statements: `out` gets what they print.
  Flow run_body(const Body& body, const ScopePtr& scope, std::string& out);
  Flow run_statement(const Stmt& statement, const ScopePtr& scope, std::string& out);
  void run_print(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow run_if(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow run_for(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow run_loop(const Stmt& statement, const ScopePtr& scope, const Value& items, int depth0,
                std::string& out);
  Flow run_set(const Stmt& statement, const ScopePtr& scope);
  Flow run_set_block(const Stmt& statement, const ScopePtr& scope);
  Flow run_macro(const Stmt& statement, const ScopePtr& scope);
  Flow run_call_block(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow run_filter_block(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow run_with(const Stmt& statement, const ScopePtr& scope, std::string& out);
  /// A scope for body `index` of a statement.
  ScopePtr make_scope(const Stmt& statement, std::size_t index, const ScopePtr& parent);
  void hide(const std::vector<NameId>& unset, Scope& scope);
  void write(std::string& out, std::string_view text);
  void check_target(const Expr& target, const ScopePtr& scope);
  Value make_macro(const Stmt& statement, const ScopePtr& scope, bool is_caller);

  // Expressions.
  Value evaluate(const Expr& expr, const ScopePtr& scope);
  Value evaluate_simple(const Expr& expr, const ScopePtr& scope);
  Value lookup(const Expr& expr, const ScopePtr& scope);
  Value undefined_name(NameId id) const;
  Value evaluate_items(const Expr& expr, const ScopePtr& scope);
  Value evaluate_dict(const Expr& expr, const ScopePtr& scope);
  Value evaluate_slice(const Expr& expr, const ScopePtr& scope);
  Value evaluate_call(const Expr& expr, const ScopePtr& scope, const Value* caller);
  Value evaluate_chain(const Expr& expr, const ScopePtr& scope);
  Value evaluate_concat(const Expr& expr, const ScopePtr& scope);
  Value evaluate_logic(const Expr& expr, const ScopePtr& scope);
  Value evaluate_compare(const Expr& expr, const ScopePtr& scope);
  Value evaluate_condition(const Expr& expr, const ScopePtr& scope);
  Value evaluate_builtin(const Expr& expr, const ScopePtr& scope);
  /// A filter chain of a block, whose innermost input is `input`.
  Value apply_filters(const Expr& expr, const Value& input, const ScopePtr& scope);
  Args evaluate_args(const CallArgs& args, const ScopePtr& scope);

  const Ast& ast_;
  ScopePtr root_;
  std::vector<std::optional<Value>> globals_;  ///< By name: the context's, else Jinja's own.
  NameId loop_name_ = 0;                       ///< One past the names when none is called loop.
  NameId varargs_name_ = 0;
  NameId kwargs_name_ = 0;
  NameId caller_name_ = 0;
};

}  // namespace openllm::jinja
