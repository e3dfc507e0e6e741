#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "openllm/binding.h"

namespace openllm::binding {

/// Reads a parsed JSON text. Members of the outermost object are named as they are in errors, the
/// text itself as `where`.
class JsonValueReader final : public detail::ValueReader {
 public:
  JsonValueReader(base::Json json, std::string_view where);

  bool is_null() const override { return here().is_null(); }
  bool as_bool() const override { return here().as_bool(path()); }
  std::int64_t as_int(std::int64_t min, std::int64_t max) const override;
  double as_number(double most) const override;
  std::string as_text() const override { return here().as_string(path()); }
  std::size_t as_one_of(const std::vector<std::string_view>& texts) const override;
  std::string as_json() const override { return here().dump(); }
  std::size_t n_elements() const override { return here().as_array(path()).size(); }
  std::vector<std::string> keys() const override;
  void require_known(const std::vector<std::string_view>& names) const override;
  void enter_element(std::size_t index) override;
  bool enter_member(std::string_view name, bool is_needed) override;
  void leave() override { parts_.pop_back(); }

 private:
  struct Part {
    const base::Json* json = nullptr;
    std::string path{};  // empty: the whole text
  };
  const base::Json& here() const { return *parts_.back().json; }
  std::string_view path() const;
  std::string path_of(std::string_view member) const;

  const base::Json json_;
  const std::string where_;
  std::vector<Part> parts_;
};

}  // namespace openllm::binding
