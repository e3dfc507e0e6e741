#include <cerrno>
#include <cstdlib>

#include "jinja/syntax/parser.h"

namespace openllm::jinja {
namespace {

constexpr std::size_t kMaxChain = 200;  // a.b.c|d|e...: every link is one level of the tree

}  // namespace

ExprPtr Parser::make(ExprKind kind, int line) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

void Parser::check_chain(std::size_t length) const {
  if (length > kMaxChain) {
    fail("a chain of filters, calls and attributes is too long (expected at most ", kMaxChain, ")");
  }
}

ExprPtr Parser::parse_expression(bool allow_condition) {
  const Level level(*this);
  if (!allow_condition) return parse_or();
  const std::size_t mark = unknown_.size();
  const int line = current().line;
  ExprPtr value = parse_or();
  std::size_t n = 0;
  while (skip_name("if")) {
    check_chain(++n);
    ExprPtr node = make(ExprKind::kCondition, line);
    node->children.push_back(std::move(value));
    node->children.push_back(parse_or());
    node->children.push_back(skip_name("else") ? parse_expression() : nullptr);
    value = std::move(node);
    unknown_.resize(std::min(mark, unknown_.size()));
  }
  return value;
}

ExprPtr Parser::parse_or() {
  const int line = current().line;
  ExprPtr first = parse_and();
  if (!current().is_name("or")) return first;
  ExprPtr node = make(ExprKind::kOr, line);
  node->children.push_back(std::move(first));
  while (skip_name("or")) node->children.push_back(parse_and());
  return node;
}

ExprPtr Parser::parse_and() {
  const int line = current().line;
  ExprPtr first = parse_not();
  if (!current().is_name("and")) return first;
  ExprPtr node = make(ExprKind::kAnd, line);
  node->children.push_back(std::move(first));
  while (skip_name("and")) node->children.push_back(parse_not());
  return node;
}

ExprPtr Parser::parse_not() {
  if (!current().is_name("not")) return parse_compare();
  const Level level(*this);
  ExprPtr node = make(ExprKind::kNot, next().line);
  node->children.push_back(parse_not());
  return node;
}

ExprPtr Parser::parse_compare() {
  constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEq}, {"!=", Op::kNe},
                                                      {"<", Op::kLt},  {"<=", Op::kLe},
                                                      {">", Op::kGt},  {">=", Op::kGe}};
  ExprPtr node = make(ExprKind::kCompare, current().line);
  node->children.push_back(parse_sum());
  for (;;) {
    const std::size_t before = node->ops.size();
    for (const auto& [text, op] : kOps) {
      if (skip_op(text)) {
        node->ops.push_back(op);
        break;
      }
    }
    if (node->ops.size() == before) {
      if (skip_name("in")) {
        node->ops.push_back(Op::kIn);
      } else if (current().is_name("not") && look().is_name("in")) {
        next();
        next();
        node->ops.push_back(Op::kNotIn);
      } else {
        break;
      }
    }
    node->children.push_back(parse_sum());
  }
  return node->ops.empty() ? std::move(node->children[0]) : std::move(node);
}

ExprPtr Parser::parse_sum() {
  ExprPtr node = make(ExprKind::kChain, current().line);
  node->children.push_back(parse_concat());
  for (;;) {
    if (skip_op("+")) {
      node->ops.push_back(Op::kAdd);
    } else if (skip_op("-")) {
      node->ops.push_back(Op::kSub);
    } else {
      break;
    }
    node->children.push_back(parse_concat());
  }
  return node->ops.empty() ? std::move(node->children[0]) : std::move(node);
}

ExprPtr Parser::parse_concat() {
  const int line = current().line;
  ExprPtr first = parse_product();
  if (!current().is_op("~")) return first;
  ExprPtr node = make(ExprKind::kConcat, line);
  node->children.push_back(std::move(first));
  while (skip_op("~")) node->children.push_back(parse_product());
  return node;
}

ExprPtr Parser::parse_product() {
  constexpr std::pair<std::string_view, Op> kOps[] = {
      {"*", Op::kMul}, {"/", Op::kDiv}, {"//", Op::kFloorDiv}, {"%", Op::kMod}};
  ExprPtr node = make(ExprKind::kChain, current().line);
  node->children.push_back(parse_power());
  for (bool found = true; found;) {
    found = false;
    for (const auto& [text, op] : kOps) {
      if (!skip_op(text)) continue;
      node->ops.push_back(op);
      node->children.push_back(parse_power());
      found = true;
      break;
    }
  }
  return node->ops.empty() ? std::move(node->children[0]) : std::move(node);
}

ExprPtr Parser::parse_power() {
  ExprPtr node = make(ExprKind::kChain, current().line);
  node->children.push_back(parse_unary());
  while (skip_op("**")) {  // from the left, unlike Python
    node->ops.push_back(Op::kPow);
    node->children.push_back(parse_unary());
  }
  return node->ops.empty() ? std::move(node->children[0]) : std::move(node);
}

ExprPtr Parser::parse_unary(bool with_filter) {
  const Level level(*this);
  const int line = current().line;
  ExprPtr node;
  if (skip_op("-")) {
    node = make(ExprKind::kNegate, line);
    node->children.push_back(parse_unary(false));
  } else if (skip_op("+")) {
    node = make(ExprKind::kPlus, line);
    node->children.push_back(parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_name(bool allow_namespace) {
  const Token token = next();
  const std::string& name = token.text;
  ExprPtr node = make(ExprKind::kConst, token.line);
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    node->constant = Value(name == "true" || name == "True");
    return node;
  }
  if (name == "none" || name == "None") return node;
  node->name = intern(name);
  if (allow_namespace && skip_op(".")) {
    node->kind = ExprKind::kNamespace;
    node->text = expect_identifier();
    return node;
  }
  node->kind = ExprKind::kName;
  names_.varargs = names_.varargs || name == "varargs";
  names_.kwargs = names_.kwargs || name == "kwargs";
  names_.caller = names_.caller || name == "caller";
  return node;
}

ExprPtr Parser::parse_number() {
  const Token token = next();
  ExprPtr node = make(ExprKind::kConst, token.line);
  if (token.kind == TokenKind::kFloat) {
    node->constant = Value(std::strtod(token.text.c_str(), nullptr));
    return node;
  }
  const char* digits = token.text.c_str();
  int base = 10;
  if (token.text.size() > 2 && token.text[0] == '0') {
    const char letter = static_cast<char>(token.text[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    if (base != 10) digits += 2;
  }
  errno = 0;
  const long long value = std::strtoll(digits, nullptr, base);
  if (errno == ERANGE)
    fail("integer ", shorten(token.text, 40), " is out of range (expected at most 64 bits)");
  node->constant = Value(static_cast<std::int64_t>(value));
  return node;
}

ExprPtr Parser::parse_primary(bool allow_namespace) {
  const Level level(*this);
  const Token& token = current();
  if (token.kind == TokenKind::kName) return parse_name(allow_namespace);
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) return parse_number();
  if (token.kind == TokenKind::kText) {
    ExprPtr node = make(ExprKind::kConst, token.line);
    std::string text = next().text;
    while (current().kind == TokenKind::kText) text += next().text;
    node->constant = Value(std::move(text));
    return node;
  }
  if (skip_op("(")) {
    TupleRules rules;
    rules.parenthesised = true;
    ExprPtr node = parse_tuple(rules);
    expect_op(")");
    return node;
  }
  if (token.is_op("[")) return parse_list();
  if (token.is_op("{")) return parse_dict();
  unexpected("an expression");
}

bool Parser::at_tuple_end(const TupleRules& rules) const {
  const Token& token = current();
  if (token.kind == TokenKind::kPrintEnd || token.kind == TokenKind::kBlockEnd ||
      token.is_op(")")) {
    return true;
  }
  return rules.stop != nullptr && token.is_name(rules.stop);
}

ExprPtr Parser::parse_tuple(const TupleRules& rules) {
  const Level level(*this);
  ExprPtr node = make(ExprKind::kTuple, current().line);
  bool is_tuple = false;
  for (;;) {
    if (!node->children.empty()) expect_op(",");
    if (at_tuple_end(rules)) break;
    node->children.push_back(rules.simple ? parse_primary(rules.allow_namespace)
                                          : parse_expression(rules.allow_condition));
    if (!current().is_op(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return node;
  if (!node->children.empty()) return std::move(node->children[0]);
  if (!rules.parenthesised) unexpected("an expression");
  return node;
}

ExprPtr Parser::parse_list() {
  ExprPtr node = make(ExprKind::kList, current().line);
  expect_op("[");
  while (!current().is_op("]")) {
    if (!node->children.empty()) expect_op(",");
    if (current().is_op("]")) break;
    node->children.push_back(parse_expression());
  }
  expect_op("]");
  return node;
}

ExprPtr Parser::parse_dict() {
  ExprPtr node = make(ExprKind::kDict, current().line);
  expect_op("{");
  while (!current().is_op("}")) {
    if (!node->children.empty()) expect_op(",");
    if (current().is_op("}")) break;
    node->children.push_back(parse_expression());
    expect_op(":");
    node->children.push_back(parse_expression());
  }
  expect_op("}");
  return node;
}

}  // namespace openllm::jinja
