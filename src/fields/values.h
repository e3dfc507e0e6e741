#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "fields/field.h"

// Values out of JSON, with strict types. `where` names the value in errors, which are
// kInvalidArgument: "where: wrong type (expected T, got U)", "where: invalid value (expected ...)".
namespace openllm::fields {

[[noreturn]] void fail_type(std::string_view where, std::string_view expected,
                            const base::Json& got);
/// A long `got` is shortened.
[[noreturn]] void fail_value(std::string_view where, std::string_view expected,
                             std::string_view got);

bool read_boolean(const base::Json& value, std::string_view where);
/// Also numbers without a fraction, as 4.0, as long as they are exact (up to 2^53).
std::int64_t read_integer(const base::Json& value, std::string_view where, std::int64_t min,
                          std::int64_t max);
/// The same with the bounds of a row, and those of `int`.
int read_integer(const base::Json& value, std::string_view where, const Range& range);
double read_number(const base::Json& value, std::string_view where, const Range& range);
/// A string of at most `range.max` bytes.
std::string read_text(const base::Json& value, std::string_view where, const Range& range = {});
/// A string, or a list of at most `range.max` strings.
std::vector<std::string> read_texts(const base::Json& value, std::string_view where,
                                    const Range& range);
/// A list of integers in [0, 2^31). `range`: of their number.
std::vector<std::int32_t> read_token_ids(const base::Json& value, std::string_view where,
                                         const Range& range = {});
/// A list of such lists, none of them empty. `range`: of their number.
TokenLists read_token_lists(const base::Json& value, std::string_view where, const Range& range);
/// [[[12, 7], -1.5]]: lists that are not empty, and numbers within the range.
ListNumbers read_list_numbers(const base::Json& value, std::string_view where, const Range& range);
/// [15, 1.6]
LengthDecay read_length_decay(const base::Json& value, std::string_view where);
/// false, true or "never"
EarlyStopping read_early_stopping(const base::Json& value, std::string_view where);
/// A text by which tokens are named, and the number that they get.
struct TextNumber {
  std::string text{};
  float number = 0.0F;
  std::string place{};  ///< Names it in errors: "logit_bias.Hello", "logit_bias[2]".
};
/// No text twice.
using TextNumbers = std::vector<TextNumber>;
/// {"12": -100.0} or [[12, -100.0]]; null numbers count as absent, and `false` is a number below
/// all others, as in llama.cpp's server. That one takes texts in place of ids as well: they go to
/// `texts`, and are refused where that is null. Names of digits are ids.
std::map<std::int32_t, float> read_token_numbers(const base::Json& value, std::string_view where,
                                                 const Range& range, TextNumbers* texts = nullptr);

/// Throws unless the number is finite and within the range.
void check_number(double value, std::string_view where, const Range& range, std::string_view shown);

}  // namespace openllm::fields
