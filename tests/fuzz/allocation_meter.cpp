#include "tests/fuzz/allocation_meter.hpp"

#include <cstdlib>
#include <new>

namespace kahuna::fuzz {

namespace {

thread_local std::size_t allocated_bytes = 0;

// Without more of its kind standing behind it: an allocation this large is what is looked for, and must not take the
// machine with it.
constexpr std::size_t block_bytes_max = std::size_t{1} << 30;

void* allocate(std::size_t size) noexcept {
  allocated_bytes += size;
  return size <= block_bytes_max ? std::malloc(size > 0 ? size : 1) : nullptr;
}

void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  allocated_bytes += size;
  const auto to = static_cast<std::size_t>(alignment);
  return size <= block_bytes_max ? std::aligned_alloc(to, (size + to - 1) / to * to) : nullptr;
}

template <class... Alignment>
void* allocate_or_throw(std::size_t size, Alignment... alignment) {
  void* block = allocate(size, alignment...);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

allocation_meter::allocation_meter() : start_(allocated_bytes) {}

std::size_t allocation_meter::total_bytes() const { return allocated_bytes - start_; }

}  // namespace kahuna::fuzz

// All forms: what one of the library allocated would not be ours to free.
void* operator new(std::size_t size) { return kahuna::fuzz::allocate_or_throw(size); }
void* operator new(std::size_t size, std::align_val_t to) { return kahuna::fuzz::allocate_or_throw(size, to); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return kahuna::fuzz::allocate(size); }
void* operator new(std::size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return kahuna::fuzz::allocate(size, to);
}
void* operator new[](std::size_t size) { return kahuna::fuzz::allocate_or_throw(size); }
void* operator new[](std::size_t size, std::align_val_t to) { return kahuna::fuzz::allocate_or_throw(size, to); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return kahuna::fuzz::allocate(size); }
void* operator new[](std::size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return kahuna::fuzz::allocate(size, to);
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { std::free(block); }
void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept { std::free(block); }
