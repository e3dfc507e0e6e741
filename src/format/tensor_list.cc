#include "format/tensor_list.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/utf8.h"

namespace openllm::format {
namespace {

constexpr std::size_t kMaxPrintable = 100;

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  std::size_t pos = 0;
  while (pos < text.size()) {
    const std::size_t before = out.size();
    const char32_t c = base::decode_utf8(text, pos);
    base::append_utf8(out, c < 0x20 || (c >= 0x7F && c < 0xA0) ? U'?' : c);
    if (out.size() > kMaxPrintable) return out.substr(0, before) + "...";
  }
  return out;
}

void TensorList::sort_and_check(const std::string& path) {
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(readable.begin(), readable.end(), by_name);
  std::sort(unreadable.begin(), unreadable.end(), by_name);
  const auto duplicate = [&path](const std::string& name) {
    base::fail_at(ErrorCode::kCorruptData, path, "tensor ", printable(name), ": occurs twice");
  };
  for (std::size_t i = 1; i < readable.size(); ++i) {
    if (readable[i].name == readable[i - 1].name) duplicate(readable[i].name);
  }
  for (std::size_t i = 0; i < unreadable.size(); ++i) {
    const std::string& name = unreadable[i].name;
    if (i > 0 && name == unreadable[i - 1].name) duplicate(name);
    const auto same = std::lower_bound(
        readable.begin(), readable.end(), name,
        [](const NamedTensor& tensor, const std::string& key) { return tensor.name < key; });
    if (same != readable.end() && same->name == name) duplicate(name);
  }
}

void check_no_overlap(const std::string& path, std::uint64_t data_begin,
                      std::vector<Extent>& extents) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  const Extent* last = nullptr;  // the last one that has bytes
  for (const Extent& extent : extents) {
    if (extent.begin == extent.end) continue;
    if (last != nullptr && extent.begin < last->end) {
      base::fail_at(ErrorCode::kCorruptData, path, "tensor ", printable(extent.name),
                    ": overlaps tensor ", printable(last->name), " (at byte ",
                    data_begin + extent.begin, ")");
    }
    last = &extent;
  }
}

bool contains(std::span<const std::byte> whole, std::span<const std::byte> part) noexcept {
  const std::less_equal<const std::byte*> not_after;
  return not_after(whole.data(), part.data()) &&
         not_after(part.data() + part.size(), whole.data() + whole.size());
}

bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) noexcept {
  return !__builtin_mul_overflow(a, b, &product);
}

std::optional<std::uint64_t> count_elems(std::span<const std::uint64_t> dims) noexcept {
  std::uint64_t without_zeros = 1;
  bool empty = false;
  for (const std::uint64_t dim : dims) {
    if (dim == 0) {
      empty = true;
      continue;
    }
    if (!multiply(without_zeros, dim, without_zeros) ||
        without_zeros > static_cast<std::uint64_t>(INT64_MAX)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : without_zeros;
}

}  // namespace openllm::format
