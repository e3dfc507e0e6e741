#include "packed/contents.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace openllm::packed {
namespace {

constexpr char kMagic[8] = "openllm";
constexpr std::size_t kNumber = sizeof(std::uint64_t);
constexpr std::size_t kFixedBytes = 15 * kNumber;
constexpr std::size_t kPartBytes = 4 * kNumber;
/// Of a model with a million matrices; a path has 4096 bytes at most.
constexpr std::uint64_t kMaxParts = std::uint64_t{1} << 20U;
constexpr std::uint64_t kMaxText = std::uint64_t{64} << 10U;

std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

std::uint64_t bytes_without_padding(std::uint64_t n_parts, std::uint64_t n_blocks,
                                    std::uint64_t n_text) {
  return kFixedBytes + n_parts * kPartBytes + n_blocks * kNumber + round_up(n_text, kNumber) +
         kNumber;
}

class Writer {
 public:
  void number(std::uint64_t value) { bytes(std::as_bytes(std::span(&value, 1))); }
  void number(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }
  void bytes(std::span<const std::byte> more) { out_.insert(out_.end(), more.begin(), more.end()); }
  void pad() { out_.resize(round_up(out_.size(), kNumber)); }
  std::vector<std::byte> take() { return std::move(out_); }
  const std::vector<std::byte>& out() const { return out_; }

 private:
  std::vector<std::byte> out_{};
};

/// What was checked to be there.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, left_.data(), kNumber);
    left_ = left_.subspan(kNumber);
    return value;
  }
  std::int64_t signed_number() { return static_cast<std::int64_t>(number()); }
  std::string text(std::size_t n) {
    std::string value(reinterpret_cast<const char*>(left_.data()), n);
    left_ = left_.subspan(n);
    return value;
  }

 private:
  std::span<const std::byte> left_;
};

[[noreturn]] void corrupt(const std::string& path, const char* what, std::uint64_t expected,
                          std::uint64_t got) {
  base::fail_at(ErrorCode::kCorruptData, path, what, " (expected ", expected, ", got ", got, ")");
}

void check_parts(const std::string& path, const Contents& contents) {
  const Part* before = nullptr;
  for (const Part& part : contents.parts) {
    if (before != nullptr && !(before->key < part.key))
      base::fail_at(ErrorCode::kCorruptData, path, "its parts are out of order");
    if (part.offset % kPartAlignment != 0 || part.offset < contents.head_bytes ||
        part.offset > contents.file_bytes || part.bytes > contents.file_bytes - part.offset)
      corrupt(path, "a part lies outside of it", contents.file_bytes, part.offset);
    before = &part;
  }
}

}  // namespace

std::size_t head_bytes_of(const Contents& contents) noexcept {
  return round_up(bytes_without_padding(contents.parts.size(), contents.block_checksums.size(),
                                        contents.source.size() + contents.variant.size()),
                  kBlockBytes);
}

std::vector<std::byte> write_head(const Contents& contents) {
  Writer to;
  to.bytes(std::as_bytes(std::span(kMagic)));
  to.number(kFileVersion);
  to.number(contents.head_bytes);
  to.number(contents.file_bytes);
  to.number(contents.name.low);
  to.number(contents.name.high);
  to.number(contents.first_file.device);
  to.number(contents.first_file.inode);
  to.number(contents.first_file.bytes);
  to.number(contents.first_file.changed_ns);
  to.number(contents.first_file.entry_changed_ns);
  to.number(std::uint64_t{contents.parts.size()});
  to.number(std::uint64_t{contents.block_checksums.size()});
  to.number(std::uint64_t{contents.source.size()});
  to.number(std::uint64_t{contents.variant.size()});
  for (const Part& part : contents.parts) {
    to.number(part.key.low);
    to.number(part.key.high);
    to.number(part.offset);
    to.number(part.bytes);
  }
  for (const std::uint64_t sum : contents.block_checksums) to.number(sum);
  to.bytes(std::as_bytes(std::span(contents.source)));
  to.bytes(std::as_bytes(std::span(contents.variant)));
  to.pad();
  to.number(checksum(to.out()));
  return to.take();
}

Contents read_head(const std::string& path, std::span<const std::byte> head,
                   std::uint64_t file_bytes) {
  if (head.size() < kFixedBytes) corrupt(path, "too short", kFixedBytes, head.size());
  if (std::memcmp(head.data(), kMagic, sizeof(kMagic)) != 0)
    base::fail_at(ErrorCode::kCorruptData, path, "does not begin as a packed copy does");
  Reader from(head.subspan(sizeof(kMagic)));
  const std::uint64_t version = from.number();
  if (version != kFileVersion) {
    base::fail_at(ErrorCode::kUnsupported, path, "another version (expected ", kFileVersion,
                  ", got ", version, ")");
  }
  Contents contents;
  contents.head_bytes = from.number();
  contents.file_bytes = from.number();
  contents.name = {from.number(), from.number()};
  contents.first_file = {from.number(), from.number(), from.number(), from.signed_number(),
                         from.signed_number()};
  const std::uint64_t n_parts = from.number();
  const std::uint64_t n_blocks = from.number();
  const std::uint64_t n_source = from.number();
  const std::uint64_t n_variant = from.number();
  if (contents.file_bytes != file_bytes)
    corrupt(path, "its size is wrong", contents.file_bytes, file_bytes);
  if (n_parts > kMaxParts) corrupt(path, "too many parts", kMaxParts, n_parts);
  if (n_source > kMaxText || n_variant > kMaxText)
    corrupt(path, "a text is too long", kMaxText, std::max(n_source, n_variant));
  if (n_blocks > file_bytes / kBlockBytes + 1)
    corrupt(path, "too many blocks", file_bytes / kBlockBytes + 1, n_blocks);
  const std::uint64_t needed = bytes_without_padding(n_parts, n_blocks, n_source + n_variant);
  if (needed > head.size()) corrupt(path, "its head is cut off", needed, head.size());
  if (contents.head_bytes != round_up(needed, kBlockBytes) || contents.head_bytes > file_bytes)
    corrupt(path, "the size of its head is wrong", round_up(needed, kBlockBytes),
            contents.head_bytes);
  const std::uint64_t data_bytes = file_bytes - contents.head_bytes;
  if (n_blocks != round_up(data_bytes, kBlockBytes) / kBlockBytes)
    corrupt(path, "wrong number of blocks", round_up(data_bytes, kBlockBytes) / kBlockBytes,
            n_blocks);
  for (std::uint64_t i = 0; i < n_parts; ++i) {
    Part part;
    part.key = {from.number(), from.number()};
    part.offset = from.number();
    part.bytes = from.number();
    contents.parts.push_back(part);
  }
  for (std::uint64_t i = 0; i < n_blocks; ++i) contents.block_checksums.push_back(from.number());
  contents.source = from.text(n_source);
  contents.variant = from.text(n_variant);
  const std::uint64_t found = checksum(head.first(needed - kNumber));
  std::uint64_t stored = 0;
  std::memcpy(&stored, head.data() + needed - kNumber, kNumber);
  if (stored != found) corrupt(path, "its head is damaged: checksum", stored, found);
  check_parts(path, contents);
  return contents;
}

}  // namespace openllm::packed
