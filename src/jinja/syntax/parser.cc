#include "jinja/syntax/parser.h"

#include <algorithm>

#include "jinja/syntax/unset_names.h"

namespace openllm::jinja {
namespace {

constexpr int kMaxNesting = 120;

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template data";
    case TokenKind::kPrintBegin:
      return "begin of print statement";
    case TokenKind::kPrintEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "begin of statement block";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kEnd:
      return "end of template";
    default:
      return base::cat("'", shorten(token.text, 60), "'");
  }
}

std::unique_ptr<Stmt> statement(StmtKind kind, int line) {
  auto out = std::make_unique<Stmt>();
  out->kind = kind;
  out->line = line;
  return out;
}

}  // namespace

Parser::Level::Level(Parser& parser) : parser_(parser) {
  // Each level of source nesting passes here a few times: expression, unary, primary, tuple.
  constexpr int kPassesPerLevel = 4;
  if (parser.depth_ >= kMaxNesting * kPassesPerLevel) {
    fail("the template nests too deep (expected at most about ", kMaxNesting, " levels)");
  }
  ++parser_.depth_;
}

Parser::Parser(std::vector<Token> tokens, int& line) : tokens_(std::move(tokens)), line_(line) {}

Ast Parser::run() {
  Ast ast;
  ast.body = parse_until({});
  harden(0);
  if (!hard_unknown_.empty()) {
    line_ = hard_unknown_.front().line;
    fail(hard_unknown_.front().message);
  }
  ast.names = std::move(interned_);
  return ast;
}

Token Parser::next() {
  Token token = current();
  if (pos_ + 1 < tokens_.size()) ++pos_;
  line_ = current().line;
  return token;
}

bool Parser::skip_op(std::string_view op) {
  if (!current().is_op(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  next();
  return true;
}

void Parser::unexpected(std::string_view expected) const {
  fail("unexpected ", describe(current()), " (expected ", expected, ")");
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) unexpected(base::cat("'", op, "'"));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected(base::cat("'", name, "'"));
}

std::string Parser::expect_identifier() {
  if (current().kind != TokenKind::kName) unexpected("a name");
  return next().text;
}

void Parser::expect_block_end() {
  if (current().kind != TokenKind::kBlockEnd) unexpected("end of statement block");
  next();
}

NameId Parser::intern(const std::string& name) {
  const auto [it, added] = ids_.emplace(name, interned_.size());
  if (added) interned_.push_back(name);
  return it->second;
}

void Parser::harden(std::size_t mark) {
  mark = std::min(mark, unknown_.size());
  hard_unknown_.insert(hard_unknown_.end(), unknown_.begin() + static_cast<std::ptrdiff_t>(mark),
                       unknown_.end());
  unknown_.resize(mark);
}

/// Statements up to a block that begins with one of `ends`, which stays current; or the end of the
/// template.
Body Parser::parse_until(std::initializer_list<const char*> ends) {
  Body body;
  for (;;) {
    const Token& token = current();
    if (token.kind == TokenKind::kData) {
      auto text = statement(StmtKind::kText, token.line);
      text->text = next().text;
      body.push_back(std::move(text));
    } else if (token.kind == TokenKind::kPrintBegin) {
      auto print = statement(StmtKind::kPrint, token.line);
      next();
      print->exprs.push_back(parse_tuple({}));
      if (current().kind != TokenKind::kPrintEnd) unexpected("end of print statement");
      next();
      body.push_back(std::move(print));
    } else if (token.kind == TokenKind::kBlockBegin) {
      next();
      const auto is_current = [this](const char* end) { return current().is_name(end); };
      if (std::any_of(ends.begin(), ends.end(), is_current)) return body;
      body.push_back(parse_statement());
      expect_block_end();
    } else if (ends.size() == 0) {
      return body;
    } else {
      fail("Unexpected end of template (expected '", *std::prev(ends.end()), "')");
    }
  }
}

Body Parser::parse_body(std::initializer_list<const char*> ends) {
  skip_op(":");
  expect_block_end();
  return parse_until(ends);
}

Body Parser::parse_closed_body(const char* end) {
  Body body = parse_body({end});
  next();
  return body;
}

std::unique_ptr<Stmt> Parser::parse_statement() {
  const Level level(*this);
  if (current().kind != TokenKind::kName) unexpected("a tag name");
  const std::string tag = current().text;
  if (tag == "if") return parse_if();
  if (tag == "for") return parse_for();
  if (tag == "set") return parse_set();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "print") return parse_print();
  if (tag == "generation" || tag == "block" || tag == "autoescape") return parse_scope(tag);
  if (tag == "break" || tag == "continue") return parse_jump(tag);
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    return parse_unavailable(tag);
  }
  fail("Encountered unknown tag '", shorten(tag, 60), "'.");
}

std::unique_ptr<Stmt> Parser::parse_if() {
  auto out = statement(StmtKind::kIf, current().line);
  const std::size_t mark = unknown_.size();
  TupleRules rules;
  rules.allow_condition = false;
  next();
  for (;;) {
    out->exprs.push_back(parse_tuple(rules));
    out->bodies.push_back(parse_body({"elif", "else", "endif"}));
    const Token end = next();
    if (end.is_name("elif")) continue;
    if (end.is_name("else")) out->bodies.push_back(parse_closed_body("endif"));
    break;
  }
  unknown_.resize(std::min(mark, unknown_.size()));  // only an error when reached
  return out;
}

std::unique_ptr<Stmt> Parser::parse_for() {
  auto out = statement(StmtKind::kFor, current().line);
  next();
  const std::size_t mark = unknown_.size();
  out->target = parse_target(false, "in");
  expect_name("in");
  TupleRules rules;
  rules.allow_condition = false;
  rules.stop = "recursive";
  out->exprs.push_back(parse_tuple(rules));
  out->exprs.push_back(skip_name("if") ? parse_expression() : nullptr);
  out->recursive = skip_name("recursive");
  ++loops_;
  out->bodies.push_back(parse_body({"endfor", "else"}));
  --loops_;
  if (next().is_name("else")) out->bodies.push_back(parse_closed_body("endfor"));
  harden(mark);
  return out;
}

ExprPtr Parser::parse_target(bool allow_namespace, const char* stop) {
  TupleRules rules;
  rules.simple = true;
  rules.allow_namespace = allow_namespace;
  rules.stop = stop;
  ExprPtr target = parse_tuple(rules);
  check_target(*target);
  return target;
}

void Parser::check_target(const Expr& target) const {
  if (target.kind == ExprKind::kName || target.kind == ExprKind::kNamespace) return;
  if (target.kind != ExprKind::kTuple && target.kind != ExprKind::kList) {
    fail("cannot assign to that expression (expected a name)");
  }
  for (const ExprPtr& item : target.children) check_target(*item);
}

std::unique_ptr<Stmt> Parser::parse_set() {
  auto out = statement(StmtKind::kSet, current().line);
  next();
  out->target = parse_target(true, nullptr);
  if (skip_op("=")) {
    out->exprs.push_back(parse_tuple({}));
    return out;
  }
  out->kind = StmtKind::kSetBlock;
  const std::size_t mark = unknown_.size();
  ExprPtr filter;
  for (std::size_t n = 1; skip_op("|"); ++n) {
    check_chain(n);
    filter = parse_filter(std::move(filter));
  }
  out->exprs.push_back(std::move(filter));
  out->bodies.push_back(parse_closed_body("endset"));
  harden(mark);
  return out;
}

template <typename Parse>
void Parser::in_function(Stmt& statement, Parse parse) {
  const int loops = std::exchange(loops_, 0);
  const Names outer = std::exchange(names_, Names{});
  const std::size_t mark = unknown_.size();
  parse();
  statement.uses_varargs = names_.varargs;
  statement.uses_kwargs = names_.kwargs;
  statement.uses_caller = names_.caller;
  loops_ = loops;
  names_.varargs = names_.varargs || outer.varargs;
  names_.kwargs = names_.kwargs || outer.kwargs;
  names_.caller = names_.caller || outer.caller;
  harden(mark);
}

void Parser::parse_signature(Stmt& statement) {
  expect_op("(");
  bool optional = false;
  while (!current().is_op(")")) {
    if (!statement.params.empty()) expect_op(",");
    Param param;
    param.text = expect_identifier();
    param.name = intern(param.text);
    if (skip_op("=")) {
      param.fallback = parse_expression();
      optional = true;
    } else if (optional) {
      fail("non-default argument follows default argument");
    }
    statement.params.push_back(std::move(param));
  }
  expect_op(")");
}

std::unique_ptr<Stmt> Parser::parse_macro() {
  auto out = statement(StmtKind::kMacro, current().line);
  next();
  out->text = expect_identifier();
  out->name = intern(out->text);
  in_function(*out, [&] {
    parse_signature(*out);
    out->bodies.push_back(parse_closed_body("endmacro"));
  });
  return out;
}

std::unique_ptr<Stmt> Parser::parse_call_block() {
  auto out = statement(StmtKind::kCallBlock, current().line);
  next();
  out->text = "caller";
  out->name = intern(out->text);
  in_function(*out, [&] {
    if (current().is_op("(")) parse_signature(*out);
  });
  out->exprs.push_back(parse_expression());
  if (out->exprs[0]->kind != ExprKind::kCall) fail("expected call");
  in_function(*out, [&] { out->bodies.push_back(parse_closed_body("endcall")); });
  return out;
}

std::unique_ptr<Stmt> Parser::parse_filter_block() {
  auto out = statement(StmtKind::kFilterBlock, current().line);
  next();
  const std::size_t mark = unknown_.size();
  ExprPtr filter = parse_filter(nullptr);
  for (std::size_t n = 1; skip_op("|"); ++n) {
    check_chain(n);
    filter = parse_filter(std::move(filter));
  }
  out->exprs.push_back(std::move(filter));
  out->bodies.push_back(parse_closed_body("endfilter"));
  harden(mark);
  return out;
}

std::unique_ptr<Stmt> Parser::parse_with() {
  auto out = statement(StmtKind::kWith, current().line);
  next();
  const std::size_t mark = unknown_.size();
  while (current().kind != TokenKind::kBlockEnd) {
    if (!out->exprs.empty()) expect_op(",");
    out->exprs.push_back(parse_target(false, nullptr));
    expect_op("=");
    out->exprs.push_back(parse_expression());
  }
  out->bodies.push_back(parse_closed_body("endwith"));
  harden(mark);
  return out;
}

std::unique_ptr<Stmt> Parser::parse_print() {
  auto out = statement(StmtKind::kPrint, current().line);
  next();
  while (current().kind != TokenKind::kBlockEnd) {
    if (!out->exprs.empty()) expect_op(",");
    out->exprs.push_back(parse_expression());
  }
  return out;
}

/// generation, block and autoescape: a body with its own variables.
std::unique_ptr<Stmt> Parser::parse_scope(const std::string& tag) {
  auto out = statement(StmtKind::kScope, current().line);
  next();
  std::string name;
  if (tag == "block") {
    name = expect_identifier();
    skip_name("scoped");
    skip_name("required");
  } else if (tag == "autoescape") {
    const ExprPtr on = parse_expression();
    if (on->kind != ExprKind::kConst || !on->constant.is_bool() || on->constant.boolean()) {
      fail("autoescape is unsupported (expected false)");
    }
  }
  const std::string end = "end" + tag;
  in_function(*out, [&] { out->bodies.push_back(parse_closed_body(end.c_str())); });
  if (!name.empty()) skip_name(name);
  return out;
}

std::unique_ptr<Stmt> Parser::parse_jump(const std::string& tag) {
  if (loops_ == 0) fail("'", tag, "' outside loop");
  const int line = next().line;
  return statement(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, line);
}

/// Tags that need other templates, of which there are none: an error when reached.
std::unique_ptr<Stmt> Parser::parse_unavailable(const std::string& tag) {
  auto out = statement(StmtKind::kFail, current().line);
  out->text = base::cat("'", tag, "' needs other templates, and there are none");
  while (current().kind != TokenKind::kBlockEnd) {
    if (current().kind == TokenKind::kEnd) unexpected("end of statement block");
    next();
  }
  return out;
}

Ast parse_template(std::string_view source, int& line) {
  Ast ast = Parser(tokenize(source, line), line).run();
  find_unset_names(ast);
  return ast;
}

}  // namespace openllm::jinja
