#include "format/hdf5_bytes.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "format/little_endian.h"

namespace openllm::format {
namespace {

constexpr std::size_t kMaxMessages = 4096;
constexpr std::size_t kMaxBlocks = 256;
constexpr unsigned kContinuation = 0x10;

/// Both forms of headers are blocks of messages, of which some say where the next block is.
class HeaderReader {
 public:
  explicit HeaderReader(const Hdf5Bytes& file) : file_(file) {}

  std::vector<Hdf5Message> read(std::uint64_t address) {
    Hdf5Bytes start = file_.from(address);
    const std::uint64_t first = start.number(1);
    if (first == 1) {
      read_first_of_version_1(start);
    } else if (first == 'O') {
      read_first_of_version_2(file_.from(address));
    } else {
      base::fail_at(ErrorCode::kCorruptData, file_.path(), "no object's header (at byte ", address,
                    ")");
    }
    while (!blocks_.empty()) {
      Hdf5Bytes block = blocks_.back();
      blocks_.pop_back();
      read_block(block);
    }
    return std::move(messages_);
  }

 private:
  void read_first_of_version_1(Hdf5Bytes& start) {
    start.skip(1 + 2 + 4);  // reserved, number of messages, references
    const std::uint64_t n_bytes = start.number(4);
    start.skip(4);
    add_block(start.place(), n_bytes);
  }

  void read_first_of_version_2(Hdf5Bytes start) {
    constexpr unsigned kHasTimes = 0x20;
    constexpr unsigned kHasLimits = 0x10;
    constexpr unsigned kHasOrder = 0x04;
    start.expect("OHDR", "an object's header");
    start.skip(1);
    const std::uint64_t flags = start.number(1);
    start.skip(((flags & kHasTimes) != 0 ? 16 : 0) + ((flags & kHasLimits) != 0 ? 4 : 0));
    const std::uint64_t n_bytes = start.number(std::size_t{1} << (flags & 3U));
    is_version_2_ = true;
    has_order_ = (flags & kHasOrder) != 0;
    add_block(start.place(), n_bytes);
  }

  void add_block(std::uint64_t at, std::uint64_t n_bytes) {
    if (++n_blocks_ > kMaxBlocks) {
      base::fail_at(ErrorCode::kCorruptData, file_.path(),
                    "an object's header in too many pieces (at byte ", at, ")");
    }
    blocks_.push_back(file_.part(at, n_bytes));
  }

  void read_block(Hdf5Bytes& block) {
    const std::size_t head = is_version_2_ ? (has_order_ ? 6 : 4) : 8;
    while (block.left() >= head) {
      const auto type = static_cast<unsigned>(block.number(is_version_2_ ? 1 : 2));
      const std::uint64_t n_bytes = block.number(2);
      const auto flags = static_cast<unsigned>(block.number(1));
      block.skip(is_version_2_ ? (has_order_ ? 2 : 0) : 3);
      const std::uint64_t at = block.place();
      block.skip(n_bytes);
      Hdf5Bytes body = file_.part(at, n_bytes);
      if (type == kContinuation) {
        continue_at(body);
        continue;
      }
      if (messages_.size() == kMaxMessages) {
        base::fail_at(ErrorCode::kUnsupported, file_.path(),
                      "an object with too many messages (expected at most ", kMaxMessages,
                      ", at byte ", at, ")");
      }
      messages_.push_back({type, flags, body});
    }
  }

  void continue_at(Hdf5Bytes& body) {
    std::uint64_t at = body.number(8);
    std::uint64_t n_bytes = body.number(8);
    if (is_version_2_) {  // between a magic number and a checksum
      constexpr std::uint64_t kMagicBytes = 4;
      constexpr std::uint64_t kSumBytes = 4;
      Hdf5Bytes block = file_.part(at, n_bytes);
      block.expect("OCHK", "a piece of an object's header");
      if (block.left() < kSumBytes) block.skip(kSumBytes);
      at += kMagicBytes;
      n_bytes -= kMagicBytes + kSumBytes;
    }
    add_block(at, n_bytes);
  }

  const Hdf5Bytes& file_;
  bool is_version_2_ = false;
  bool has_order_ = false;
  std::size_t n_blocks_ = 0;
  std::vector<Hdf5Bytes> blocks_{};  ///< Still to be read.
  std::vector<Hdf5Message> messages_{};
};

}  // namespace

Hdf5Bytes Hdf5Bytes::part(std::uint64_t at, std::uint64_t n) const {
  if (at > file_.size() || n > file_.size() - at) {
    base::fail_at(ErrorCode::kCorruptData, *path_, "something runs past the end (", n,
                  " bytes at byte ", at, "); is the file cut short?");
  }
  return {*path_, file_, at, at + n};
}

Hdf5Bytes Hdf5Bytes::from(std::uint64_t at) const {
  Hdf5Bytes rest = part(at, 0);
  rest.end_ = file_.size();
  return rest;
}

std::span<const std::byte> Hdf5Bytes::take(std::uint64_t n) {
  if (n > left()) {
    base::fail_at(ErrorCode::kCorruptData, *path_, "something runs past its end (", n,
                  " bytes at byte ", at_, "); is the file cut short?");
  }
  const auto bytes = file_.subspan(static_cast<std::size_t>(at_), static_cast<std::size_t>(n));
  at_ += n;
  return bytes;
}

std::uint64_t Hdf5Bytes::number(std::size_t n_bytes) { return load_le(take(n_bytes), 0, n_bytes); }

void Hdf5Bytes::expect(std::string_view magic, const char* what) {
  const std::uint64_t at = at_;
  const auto bytes = take(magic.size());
  const bool is_equal =
      std::equal(bytes.begin(), bytes.end(), magic.begin(),
                 [](std::byte a, char b) { return std::to_integer<char>(a) == b; });
  if (!is_equal)
    base::fail_at(ErrorCode::kCorruptData, *path_, "not ", what, " (at byte ", at, ")");
}

std::string_view Hdf5Bytes::text(std::size_t max_bytes) {
  const std::uint64_t at = at_;
  const auto bytes = take(std::min<std::uint64_t>(max_bytes, left()));
  const auto end = std::find(bytes.begin(), bytes.end(), std::byte{0});
  if (end == bytes.end()) {
    base::fail_at(ErrorCode::kCorruptData, *path_, "a name that is too long (at byte ", at, ")");
  }
  return {reinterpret_cast<const char*>(bytes.data()),
          static_cast<std::size_t>(end - bytes.begin())};
}

std::vector<Hdf5Message> read_hdf5_header(const Hdf5Bytes& file, std::uint64_t address) {
  return HeaderReader(file).read(address);
}

}  // namespace openllm::format
