#pragma once

#include <initializer_list>
#include <unordered_map>

#include "jinja/syntax/ast.h"
#include "jinja/syntax/token.h"

namespace openllm::jinja {

/// Jinja's grammar by recursive descent. Statements are in parser.cc, expressions in
/// parser_expressions.cc, and suffixes of a primary (subscripts, calls, filters, tests) in
/// parser_postfix.cc.
class Parser {
 public:
  Parser(std::vector<Token> tokens, int& line);
  Ast run();

 private:
  /// Bounds the nesting, so that a hostile template does not exhaust the stack.
  class Level {
   public:
    explicit Level(Parser& parser);
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --parser_.depth_; }

   private:
    Parser& parser_;
  };
  struct Names {
    bool varargs = false;
    bool kwargs = false;
    bool caller = false;
  };
  struct UnknownName {
    int line;
    std::string message;
  };
  struct TupleRules {
    bool simple = false;  ///< Names and literals only: a target.
    bool allow_condition = true;
    bool parenthesised = false;
    bool allow_namespace = false;
    const char* stop = nullptr;  ///< A name that ends the tuple.
  };

  const Token& current() const { return tokens_[pos_]; }
  const Token& look() const { return tokens_[pos_ + 1 < tokens_.size() ? pos_ + 1 : pos_]; }
  Token next();
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  std::string expect_identifier();
  void expect_block_end();
  [[noreturn]] void unexpected(std::string_view expected) const;
  NameId intern(const std::string& name);

  // Statements.
  Body parse_until(std::initializer_list<const char*> ends);
  Body parse_body(std::initializer_list<const char*> ends);
  Body parse_closed_body(const char* end);
  std::unique_ptr<Stmt> parse_statement();
  std::unique_ptr<Stmt> parse_if();
  std::unique_ptr<Stmt> parse_for();
  std::unique_ptr<Stmt> parse_set();
  std::unique_ptr<Stmt> parse_macro();
  std::unique_ptr<Stmt> parse_call_block();
  std::unique_ptr<Stmt> parse_filter_block();
  std::unique_ptr<Stmt> parse_with();
  std::unique_ptr<Stmt> parse_print();
  std::unique_ptr<Stmt> parse_scope(const std::string& tag);
  std::unique_ptr<Stmt> parse_jump(const std::string& tag);
  std::unique_ptr<Stmt> parse_unavailable(const std::string& tag);
  void parse_signature(Stmt& statement);
  ExprPtr parse_target(bool allow_namespace, const char* stop);
  void check_target(const Expr& target) const;
  /// A body in which an enclosing loop cannot be left: it becomes a function.
  template <typename Parse>
  void in_function(Stmt& statement, Parse parse);
  /// Makes the template an error for the unknown filters and tests seen since `mark`, even where
  /// they stand in a branch that is not taken.
  void harden(std::size_t mark);

  // Expressions.
  static ExprPtr make(ExprKind kind, int line);
  ExprPtr parse_expression(bool allow_condition = true);
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter = true);
  ExprPtr parse_primary(bool allow_namespace = false);
  ExprPtr parse_name(bool allow_namespace);
  ExprPtr parse_number();
  ExprPtr parse_tuple(const TupleRules& rules);
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters_and_tests(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_brackets(ExprPtr node, int line);
  ExprPtr parse_call(ExprPtr node);
  void parse_args(CallArgs& args);
  ExprPtr parse_filter(ExprPtr node);
  ExprPtr parse_test(ExprPtr node);
  std::string parse_dotted_name();
  bool at_tuple_end(const TupleRules& rules) const;
  /// Bounds a chain of `length` links, each of which is one level of the tree.
  void check_chain(std::size_t length) const;

  std::vector<Token> tokens_;
  std::size_t pos_ = 0;
  int& line_;
  int depth_ = 0;
  int loops_ = 0;
  Names names_;
  std::vector<std::string> interned_;
  std::unordered_map<std::string, NameId> ids_;
  std::vector<UnknownName> unknown_;
  std::vector<UnknownName> hard_unknown_;
};

}  // namespace openllm::jinja
