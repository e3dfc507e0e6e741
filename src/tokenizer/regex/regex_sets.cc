#include "tokenizer/regex/regex_sets.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/error.h"
#include "tokenizer/unicode/unicode_additions.h"

namespace openllm::tokenizer {
namespace {

// White_Space of Unicode.
constexpr std::string_view kSpace =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kBlank =
    R"(\x09\x20\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kHex = "0-9a-fA-F";
constexpr std::string_view kAny = R"(\x00-\x{10ffff})";
// Letters in circles and squares: alphabetic symbols.
constexpr std::string_view kAlphabeticSymbols =
    R"(\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
constexpr std::string_view kLatinNumbers = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
// Marks that are alphabetic since Unicode 15.
constexpr std::string_view kAlphabeticMarks =
    R"(\x{363}-\x{36f}\x{897}\x{c04}\x{cf3}\x{f82}\x{f83}\x{1dd3}-\x{1de6}\x{10d69}\x{10efc})"
    R"(\x{11080}\x{11081}\x{11241}\x{113b8}-\x{113c0}\x{113c2}\x{113c5}\x{113c7}-\x{113ca})"
    R"(\x{113cc}\x{113cd}\x{11f00}\x{11f01}\x{11f03}\x{11f34}-\x{11f3a}\x{11f3e}-\x{11f40})"
    R"(\x{1611e}-\x{1612e}\x{1e08f})";
constexpr std::string_view kAddedHan = R"(\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";

struct Name {
  std::string_view name, meaning;
};

// General categories by their long names, without separators and in lower case.
constexpr Name kCategoryNames[] = {
    {"letter", "L"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"combiningmark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"digit", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"punct", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"cntrl", "Cc"},
    {"format", "Cf"},
    {"surrogate", "Cs"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
};
constexpr std::string_view kCategories =
    " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc "
    "Cf Cs Co Cn ";
constexpr std::string_view kBinaryProperties =
    " emoji emojipresentation emojimodifier emojimodifierbase emojicomponent extendedpictographic "
    "ideographic unifiedideograph hexdigit asciihexdigit dash diacritic extender math "
    "defaultignorablecodepoint graphemebase graphemeextend idstart idcontinue xidstart xidcontinue "
    "joincontrol quotationmark regionalindicator variationselector cased caseignorable ";

bool is_listed(std::string_view list, std::string_view name) {
  return list.find(base::cat(" ", name, " ")) != std::string_view::npos;
}

void append_range(std::string& items, char32_t first, char32_t last) {
  char text[32];
  std::snprintf(text, sizeof text, first == last ? "\\x{%x}" : "\\x{%x}-\\x{%x}",
                static_cast<unsigned>(first), static_cast<unsigned>(last));
  items += text;
}

/// The items of a general category, with the code points that PCRE2 does not know yet.
std::string category_items(std::string_view category) {
  std::string items = base::cat("\\p{", category, "}");
  for (const CategoryRange& range : added_categories()) {
    if (std::string_view(range.category).starts_with(category))
      append_range(items, range.first, range.last);
  }
  return items;
}

std::string join_categories(std::initializer_list<std::string_view> categories) {
  std::string items;
  for (const std::string_view category : categories) items += category_items(category);
  return items;
}

CharSet category_set(std::string_view category) {
  // Unassigned code points are what no other category has.
  if (category == "C") return {join_categories({"L", "M", "N", "P", "S", "Z"}), true};
  if (category == "Cn")
    return {join_categories({"L", "M", "N", "P", "S", "Z", "Cc", "Cf", "Co", "Cs"}), true};
  return {category_items(category)};
}

std::string alphabetic_items() {
  return base::cat("\\p{Alphabetic}", join_categories({"L", "Nl"}), kAlphabeticMarks);
}

std::string word_items() {
  return base::cat(join_categories({"L", "M", "Nd", "Nl", "Pc"}), kAlphabeticSymbols);
}

/// Lower case, without blanks, `_` and `-`.
std::string simplify(std::string_view name) {
  std::string simple;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    simple += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return simple;
}

std::string find_category(const std::string& simple) {
  for (const Name& entry : kCategoryNames) {
    if (entry.name == simple) return std::string(entry.meaning);
  }
  std::string category = simple.substr(0, 2);
  if (simple.size() > 2 || simple.empty()) return {};
  category[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(category[0])));
  return is_listed(kCategories, category) ? category : std::string();
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ' ' || c == '-';
  });
}

}  // namespace

std::optional<CharSet> find_shorthand(char letter, bool in_class) {
  switch (letter) {
    case 's':
    case 'S':
      return CharSet{std::string(kSpace), letter == 'S'};
    case 'w':
    case 'W':
      return CharSet{base::cat(word_items(), in_class ? "" : kLatinNumbers), letter == 'W'};
    case 'd':
    case 'D':
      return CharSet{category_items("Nd"), letter == 'D'};
    case 'h':
    case 'H':
      return CharSet{std::string(kHex), letter == 'H'};
    default:
      return std::nullopt;
  }
}

std::optional<CharSet> find_posix_set(std::string_view name) {
  if (name == "alpha") return CharSet{alphabetic_items()};
  if (name == "alnum") return CharSet{alphabetic_items() + category_items("Nd")};
  if (name == "digit") return CharSet{category_items("Nd")};
  if (name == "punct") return CharSet{join_categories({"P", "S"})};
  if (name == "space") return CharSet{std::string(kSpace)};
  if (name == "blank") return CharSet{std::string(kBlank)};
  if (name == "cntrl") return CharSet{"\\p{Cc}"};
  if (name == "xdigit") return CharSet{std::string(kHex)};
  if (name == "ascii") return CharSet{"\\x00-\\x7f"};
  if (name == "word") return CharSet{word_items()};
  if (name == "upper") return CharSet{base::cat("\\p{Uppercase}", category_items("Lu"))};
  if (name == "lower") return CharSet{base::cat("\\p{Lowercase}", category_items("Ll"))};
  if (name == "graph") return CharSet{join_categories({"L", "M", "N", "P", "S", "Cf", "Co", "Cs"})};
  if (name == "print")
    return CharSet{join_categories({"L", "M", "N", "P", "S", "Zs", "Cf", "Co", "Cs"})};
  return std::nullopt;
}

CharSet property_set(std::string_view name) {
  if (name.starts_with('^')) {
    CharSet set = property_set(name.substr(1));
    set.negated = !set.negated;
    return set;
  }
  const std::string simple = simplify(name);
  if (const std::string category = find_category(simple); !category.empty())
    return category_set(category);
  if (simple == "any") return {std::string(kAny)};
  if (simple == "alphabetic") return {alphabetic_items()};
  if (simple == "uppercase") return *find_posix_set("upper");
  if (simple == "lowercase") return *find_posix_set("lower");
  if (simple == "whitespace") return {std::string(kSpace)};
  if (auto posix = find_posix_set(simple)) return *posix;
  if (!is_plain_name(name)) return {base::cat("\\p{", name, "}")};  // PCRE2 refuses it
  if (is_listed(kBinaryProperties, simple)) return {base::cat("\\p{", simple, "}")};
  // The script itself, without the characters that several scripts share.
  const std::string items = base::cat("\\p{sc:", simple, "}");
  return {simple == "han" || simple == "hani" ? base::cat(items, kAddedHan) : items};
}

}  // namespace openllm::tokenizer
