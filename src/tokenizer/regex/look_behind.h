#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace openllm::tokenizer {

/// PCRE2 looks back over texts of known lengths only. Rewrites the inside of a look-behind, which
/// begins at `begin` of an Oniguruma pattern, into alternatives of such lengths: what may come more
/// often at its beginning comes as seldom as it may, and other repetitions are counted out.
struct LookBehind {
  std::string text;
  std::size_t end;  ///< Of the inside, where its `)` is.
};
/// Nothing where there is nothing to rewrite, or no way to do it.
std::optional<LookBehind> rewrite_look_behind(std::string_view pattern, std::size_t begin);

}  // namespace openllm::tokenizer
