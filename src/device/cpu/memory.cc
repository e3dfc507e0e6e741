#include "device/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"

namespace openllm::device::cpu {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMapAbove = std::size_t{1} << 20U;
constexpr std::size_t kHugePage = std::size_t{2} << 20U;

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

AlignedMemory::AlignedMemory(std::size_t n_bytes, Pages pages)
    : size_(n_bytes), mapped_(n_bytes >= kMapAbove) {
  if (n_bytes == 0) return;
  if (mapped_) {
    void* p = ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
      base::fail(ErrorCode::kResourceExhausted, "cpu: out of memory (", n_bytes, " bytes)");
    }
    ::madvise(p, n_bytes, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    data_ = static_cast<unsigned char*>(p);
    return;
  }
  void* p = ::operator new (n_bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (p == nullptr) {
    base::fail(ErrorCode::kResourceExhausted, "cpu: out of memory (", n_bytes, " bytes)");
  }
  data_ = static_cast<unsigned char*>(p);
  std::memset(data_, 0, n_bytes);
}

AlignedMemory::~AlignedMemory() {
  if (data_ == nullptr || whole_ != nullptr) return;
  if (mapped_) {
    ::munmap(data_, size_);
  } else {
    ::operator delete (data_, std::align_val_t{kAlignment});
  }
}

AlignedMemory::AlignedMemory(AlignedMemory&& other) noexcept { *this = std::move(other); }

AlignedMemory& AlignedMemory::operator=(AlignedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  std::swap(whole_, other.whole_);
  return *this;
}

void AlignedMemory::reserve(std::size_t n_bytes) {
  if (n_bytes <= size_) return;
  *this = AlignedMemory(std::max(n_bytes, size_ + size_ / 2));
}

AlignedMemory Arena::take(std::size_t n_bytes) {
  AlignedMemory piece;
  const std::size_t n = round_up(n_bytes, kAlignment);
  if (n == 0) return piece;
  const base::MutexLock lock(mutex_);
  if (whole_ == nullptr || whole_->size() - used_ < n) {
    whole_ =
        std::make_shared<AlignedMemory>(round_up(std::max(n, whole_bytes_), kHugePage) + kHugePage);
    const auto at = reinterpret_cast<std::uintptr_t>(whole_->data());
    used_ = round_up(at, kHugePage) - at;
  }
  piece.data_ = whole_->data() + used_;
  piece.size_ = n_bytes;
  piece.whole_ = whole_;
  used_ += n;
  return piece;
}

}  // namespace openllm::device::cpu
