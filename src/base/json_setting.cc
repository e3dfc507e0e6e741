#include "base/json_setting.h"

#include "base/error.h"

namespace openllm::base {

Json parse_setting(std::string_view text, std::string_view where) {
  try {
    return Json::parse_unique(text, where);
  } catch (const Error& error) {
    if (error.where() == where) throw;
    fail_at(error.code(), where, error.what());  // the key stands there
  }
}

Json parse_setting_or_text(std::string_view text, std::string_view where) {
  try {
    (void)Json::parse(text, where);
  } catch (const Error&) {
    return {text};
  }
  return parse_setting(text, where);
}

}  // namespace openllm::base
