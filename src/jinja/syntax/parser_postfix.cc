#include "jinja/filters/filters.h"
#include "jinja/syntax/parser.h"

namespace openllm::jinja {

ExprPtr Parser::parse_postfix(ExprPtr node) {
  for (std::size_t n = 1;; ++n) {
    check_chain(n);
    if (current().is_op(".") || current().is_op("[")) {
      node = parse_subscript(std::move(node));
    } else if (current().is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters_and_tests(ExprPtr node) {
  for (std::size_t n = 1;; ++n) {
    check_chain(n);
    if (skip_op("|")) {
      node = parse_filter(std::move(node));
    } else if (skip_name("is")) {
      node = parse_test(std::move(node));
    } else if (current().is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr node) {
  const Token token = next();
  if (token.text == "[") return parse_brackets(std::move(node), token.line);
  const Token name = next();
  ExprPtr out = make(ExprKind::kAttribute, token.line);
  out->children.push_back(std::move(node));
  if (name.kind == TokenKind::kName) {
    out->text = name.text;
    return out;
  }
  if (name.kind != TokenKind::kInteger) fail("expected name or number");
  --pos_;
  out->kind = ExprKind::kItem;
  out->children.push_back(parse_number());
  return out;
}

ExprPtr Parser::parse_brackets(ExprPtr node, int line) {
  ExprPtr out = make(ExprKind::kItem, line);
  out->children.push_back(std::move(node));
  if (!current().is_op(":")) {
    ExprPtr index = parse_expression();
    if (!current().is_op(":")) {
      if (current().is_op(",")) {  // x[1, 2]: a tuple is the index
        ExprPtr tuple = make(ExprKind::kTuple, line);
        tuple->children.push_back(std::move(index));
        while (skip_op(",")) tuple->children.push_back(parse_expression());
        index = std::move(tuple);
      }
      expect_op("]");
      out->children.push_back(std::move(index));
      return out;
    }
    out->children.push_back(std::move(index));
  } else {
    out->children.push_back(nullptr);
  }
  out->kind = ExprKind::kSlice;
  for (int part = 0; part < 2; ++part) {
    const bool given = skip_op(":") && !current().is_op(":") && !current().is_op("]");
    out->children.push_back(given ? parse_expression() : nullptr);
  }
  expect_op("]");
  return out;
}

ExprPtr Parser::parse_call(ExprPtr node) {
  ExprPtr out = make(ExprKind::kCall, current().line);
  out->children.push_back(std::move(node));
  parse_args(out->args);
  return out;
}

void Parser::parse_args(CallArgs& args) {
  const auto ensure = [](bool valid) {
    if (!valid) fail("invalid syntax for function call expression");
  };
  expect_op("(");
  bool first = true;
  while (!current().is_op(")")) {
    if (!first) expect_op(",");
    first = false;
    if (current().is_op(")")) break;
    if (skip_op("*")) {
      ensure(args.star == nullptr && args.star_star == nullptr);
      args.star = parse_expression();
    } else if (skip_op("**")) {
      ensure(args.star_star == nullptr);
      args.star_star = parse_expression();
    } else if (current().kind == TokenKind::kName && look().is_op("=")) {
      ensure(args.star_star == nullptr);
      std::string name = next().text;
      next();
      for (const auto& keyword : args.keywords) {
        if (keyword.first == name) fail("keyword argument repeated: ", shorten(name));
      }
      args.keywords.emplace_back(std::move(name), parse_expression());
    } else {
      ensure(args.star == nullptr && args.star_star == nullptr && args.keywords.empty());
      args.positional.push_back(parse_expression());
    }
  }
  expect_op(")");
}

std::string Parser::parse_dotted_name() {
  std::string name = expect_identifier();
  while (skip_op(".")) name += "." + expect_identifier();
  return name;
}

ExprPtr Parser::parse_filter(ExprPtr node) {
  ExprPtr out = make(ExprKind::kFilter, current().line);
  out->text = parse_dotted_name();
  out->function = find_filter(out->text);
  if (out->function == nullptr) {
    unknown_.push_back({out->line, base::cat("No filter named '", shorten(out->text), "'.")});
  }
  out->children.push_back(std::move(node));
  if (current().is_op("(")) parse_args(out->args);
  return out;
}

ExprPtr Parser::parse_test(ExprPtr node) {
  ExprPtr out = make(ExprKind::kTest, current().line);
  const bool negated = skip_name("not");
  out->text = parse_dotted_name();
  out->function = find_test(out->text);
  if (out->function == nullptr) {
    unknown_.push_back({out->line, base::cat("No test named '", shorten(out->text), "'.")});
  }
  out->children.push_back(std::move(node));
  const Token& token = current();
  if (token.is_op("(")) {
    parse_args(out->args);
  } else if ((token.kind == TokenKind::kName && token.text != "else" && token.text != "or" &&
              token.text != "and") ||
             token.kind == TokenKind::kText || token.kind == TokenKind::kInteger ||
             token.kind == TokenKind::kFloat || token.is_op("[") || token.is_op("{")) {
    if (token.is_name("is")) fail("You cannot chain multiple tests with is");
    out->args.positional.push_back(parse_postfix(parse_primary()));
  }
  if (!negated) return out;
  ExprPtr inverse = make(ExprKind::kNot, out->line);
  inverse->children.push_back(std::move(out));
  return inverse;
}

}  // namespace openllm::jinja
