#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "jinja/template.h"

/// Arbitrary bytes as a Jinja template: it renders or fails with openllm::Error, in bounded time
/// and memory. The first byte chooses how the rest is used: as it is, as one expression, or as the
/// body of a loop over the messages.
namespace {

constexpr const char* kContext = R"({
  "messages": [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Gr\u00fc\u00dfe"}, {"type": "image"}]},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "1", "function": {"name": "f", "arguments": {"a": 1, "b": [1.5, true, null]}}}]},
    {"role": "tool", "content": "x\ny"}],
  "tools": [{"function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "n": 3, "s": "a b,c", "l": [3, 1, 2], "d": {"k": 1}})";

std::string wrap(std::string_view bytes) {
  if (bytes.empty()) return {};
  const std::string_view rest = bytes.substr(1);
  switch (static_cast<unsigned char>(bytes[0]) % 4U) {
    case 1:
      return "{{ " + std::string(rest) + " }}";
    case 2:
      return "{% for m in messages %}" + std::string(rest) + "{% endfor %}";
    case 3:
      return "{% set x = " + std::string(rest) + " %}{{ x }}{{ x | tojson }}{{ x | list }}";
    default:
      return std::string(rest);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const openllm::base::Json context = openllm::base::Json::parse(kContext, "context");
  openllm::jinja::Limits limits;
  limits.max_output_bytes = std::size_t{1} << 16U;
  limits.max_operations = 50'000;
  try {
    const std::string source = wrap({reinterpret_cast<const char*>(data), size});
    static_cast<void>(openllm::jinja::Template::parse(source).render(context, limits));
  } catch (const openllm::Error&) {
  }
  return 0;
}
