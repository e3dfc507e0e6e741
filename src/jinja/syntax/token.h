#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace openllm::jinja {

enum class TokenKind {
  kData,        ///< Text between tags.
  kPrintBegin,  ///< {{
  kPrintEnd,    ///< }}
  kBlockBegin,  ///< {%
  kBlockEnd,    ///< %}
  kName,
  kText,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  ///< Unescaped for kText; without underscores for numbers.

  bool is_op(std::string_view op) const { return kind == TokenKind::kOperator && text == op; }
  bool is_name(std::string_view name) const { return kind == TokenKind::kName && text == name; }
};

/// Splits a template into tokens, with trim_blocks and lstrip_blocks. `source` is valid UTF-8.
/// Throws TemplateError after setting `line`. Ends with one kEnd.
std::vector<Token> tokenize(std::string_view source, int& line);

}  // namespace openllm::jinja
