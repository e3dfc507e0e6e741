#include "format/zip_archive.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "format/little_endian.h"
#include "format/tensor_list.h"

namespace openllm::format {
namespace {

using base::fail_at;

constexpr std::uint64_t kLocalHeader = 0x04034B50;
constexpr std::uint64_t kEntryHeader = 0x02014B50;
constexpr std::uint64_t kEnd = 0x06054B50;
constexpr std::uint64_t kEnd64 = 0x06064B50;
constexpr std::uint64_t kLocator64 = 0x07064B50;
constexpr std::uint64_t kFull32 = 0xFFFFFFFF;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kLocatorBytes = 20;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kEntryBytes = 46;
constexpr std::size_t kLocalBytes = 30;

struct Directory {
  std::uint64_t n_entries = 0;
  std::uint64_t offset = 0;
};

struct Entry {
  std::string name{};
  std::uint64_t size = 0;
  std::uint64_t stored_size = 0;
  std::uint64_t offset = 0;
};

class Reader {
 public:
  Reader(const std::string& path, std::span<const std::byte> file) : path_(path), file_(file) {}

  std::map<std::string, std::span<const std::byte>> read() const {
    const Directory directory = find_directory();
    std::map<std::string, std::span<const std::byte>> entries;
    std::uint64_t at = directory.offset;
    for (std::uint64_t i = 0; i < directory.n_entries; ++i) {
      const Entry entry = read_entry(at);
      if (!entries.emplace(entry.name, content_of(entry)).second) {
        fail_at(ErrorCode::kCorruptData, path_, "entry ", printable(entry.name), ": occurs twice");
      }
    }
    return entries;
  }

 private:
  std::uint64_t number(std::uint64_t at, std::size_t n) const {
    if (at > file_.size() || file_.size() - at < n) {
      fail_at(ErrorCode::kCorruptData, path_, "zip archive runs past the end of the file (at byte ",
              at, "); is the file cut short?");
    }
    return load_le(file_, at, n);
  }

  Directory find_directory() const {
    constexpr std::size_t kMaxComment = 65535;
    const std::size_t size = file_.size();
    for (std::size_t back = kEndBytes; back <= size && back <= kEndBytes + kMaxComment; ++back) {
      const std::size_t at = size - back;
      if (load_le(file_, at, 4) != kEnd || load_le(file_, at + 20, 2) != back - kEndBytes) continue;
      Directory found{load_le(file_, at + 10, 2), load_le(file_, at + 16, 4)};
      if (at >= kLocatorBytes && load_le(file_, at - kLocatorBytes, 4) == kLocator64) {
        const std::uint64_t end64 = load_le(file_, at - kLocatorBytes + 8, 8);
        if (end64 > size || size - end64 < kEnd64Bytes || load_le(file_, end64, 4) != kEnd64) {
          fail_at(ErrorCode::kCorruptData, path_, "zip archive: bad place of its directory (",
                  end64, ")");
        }
        found = {load_le(file_, end64 + 32, 8), load_le(file_, end64 + 48, 8)};
      }
      return found;
    }
    fail_at(ErrorCode::kCorruptData, path_,
            "zip archive without an end of its directory; is the file cut short?");
  }

  /// Moves `at` to the next entry.
  Entry read_entry(std::uint64_t& at) const {
    if (number(at, 4) != kEntryHeader) {
      fail_at(ErrorCode::kCorruptData, path_, "zip archive: no entry at byte ", at);
    }
    Entry entry;
    const std::uint64_t flags = number(at + 8, 2);
    const std::uint64_t method = number(at + 10, 2);
    entry.stored_size = number(at + 20, 4);
    entry.size = number(at + 24, 4);
    const std::uint64_t n_name = number(at + 28, 2);
    const std::uint64_t n_extra = number(at + 30, 2);
    const std::uint64_t n_comment = number(at + 32, 2);
    entry.offset = number(at + 42, 4);
    const std::uint64_t name_at = at + kEntryBytes;
    if (name_at > file_.size() || file_.size() - name_at < n_name + n_extra + n_comment) {
      fail_at(ErrorCode::kCorruptData, path_, "zip archive: an entry runs past the end (at byte ",
              at, ")");
    }
    entry.name.assign(reinterpret_cast<const char*>(file_.data()) + name_at, n_name);
    if (method != 0 || (flags & 1U) != 0) {
      fail_at(ErrorCode::kUnsupported, path_, "entry ", printable(entry.name), ": ",
              method != 0 ? "compressed" : "encrypted", " (expected entries as they are)");
    }
    widen(name_at + n_name, n_extra, entry);
    at = name_at + n_name + n_extra + n_comment;
    return entry;
  }

  /// Numbers that do not fit 32 bits lie in an extra field, in this order.
  void widen(std::uint64_t at, std::uint64_t n, Entry& entry) const {
    const std::uint64_t end = at + n;
    while (end - at >= 4) {
      const std::uint64_t id = load_le(file_, at, 2);
      const std::uint64_t size = load_le(file_, at + 2, 2);
      at += 4;
      if (size > end - at) return;
      std::uint64_t place = at;
      for (std::uint64_t* value : {&entry.size, &entry.stored_size, &entry.offset}) {
        if (id != 1 || *value != kFull32 || at + size - place < 8) continue;
        *value = load_le(file_, place, 8);
        place += 8;
      }
      at += size;
    }
  }

  std::span<const std::byte> content_of(const Entry& entry) const {
    if (number(entry.offset, 4) != kLocalHeader) {
      fail_at(ErrorCode::kCorruptData, path_, "entry ", printable(entry.name),
              ": no header at byte ", entry.offset);
    }
    const std::uint64_t begin =
        entry.offset + kLocalBytes + number(entry.offset + 26, 2) + number(entry.offset + 28, 2);
    if (entry.size != entry.stored_size || begin > file_.size() ||
        file_.size() - begin < entry.size) {
      fail_at(ErrorCode::kCorruptData, path_, "entry ", printable(entry.name),
              ": bad size (expected at most ",
              file_.size() - std::min<std::uint64_t>(begin, file_.size()), ", got ", entry.size,
              ")");
    }
    return file_.subspan(begin, entry.size);
  }

  const std::string& path_;
  std::span<const std::byte> file_;
};

}  // namespace

std::map<std::string, std::span<const std::byte>> read_zip(const std::string& path,
                                                           std::span<const std::byte> file) {
  return Reader(path, file).read();
}

}  // namespace openllm::format
