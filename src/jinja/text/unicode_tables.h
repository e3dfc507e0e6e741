// Made by tools/make_jinja_unicode.py from Unicode 14.0.0; edit that instead.
#pragma once

#include <cstdint>

namespace openllm::jinja::unicode {

/// Code points first..last, both included.
struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

/// Code points first..last in steps of `stride` map to themselves plus `delta`.
struct CaseRun {
  std::uint32_t first;
  std::uint32_t last;
  std::int32_t delta;
  std::uint32_t stride;
};

/// A letter that is several in another case; 0 where there are fewer.
struct LongCase {
  std::uint32_t letter;
  std::uint32_t upper[3];
  std::uint32_t title[3];
  std::uint32_t folded[3];
};

extern const CaseRun kToUpper[194];
extern const CaseRun kToLower[181];
extern const CaseRun kToTitle[196];
extern const CaseRun kToFolded[24];
extern const LongCase kLongCases[104];
extern const CaseRun kUpper[166];
extern const CaseRun kLower[187];
extern const Range kAlpha[648];
extern const Range kDecimal[62];
extern const Range kDigit[81];
extern const Range kNumeric[206];
extern const Range kUnprintable[702];

}  // namespace openllm::jinja::unicode
