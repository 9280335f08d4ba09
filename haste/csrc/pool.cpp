#include "pool.h"

#include <map>
#include <memory>
#include <tuple>

#ifdef __unix__
#include <unistd.h>
#endif

namespace HASTE_NAMESPACE {
namespace {

constexpr int SPINS = 4000;  // some 20 microseconds: longer than any step between two convolutions

int64_t process() {
#ifdef __unix__
  return getpid();
#else
  return 0;
#endif
}

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Pool::Pool(int threads) {
  for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { serve(i); });
}

namespace {

struct Pools {
  std::mutex mutex;
  std::map<std::tuple<int64_t, int, const void*>, std::unique_ptr<Pool>> found;
};

Pools& pools() {
  static Pools& all = *new Pools;  // never ended: threads may still be asleep in them
  return all;
}

}  // namespace

Pool& Pool::of(int threads, const void* program) {
  Pools& all = pools();
  std::lock_guard<std::mutex> lock(all.mutex);
  std::unique_ptr<Pool>& pool = all.found[{process(), threads, threads > 1 ? nullptr : program}];
  if (!pool) pool.reset(new Pool(threads));
  return *pool;
}

void Pool::drop(const void* program) {
  Pools& all = pools();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.found.erase({process(), 1, program});
}

void Pool::run(const std::function<void(int)>& work) {
  if (workers_.empty()) return work(0);
  failure_ = nullptr;
  busy_.store((int)workers_.size());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    work_ = &work;
    round_++;
  }
  wake_.notify_all();
  attempt(work, 0);
  for (int spins = 0; busy_.load(std::memory_order_acquire) > 0; spins++)
    if (spins < SPINS) pause();
    else std::this_thread::yield();
  if (failure_) std::rethrow_exception(failure_);
}

void Pool::attempt(const std::function<void(int)>& work, int thread) {
  try {
    work(thread);
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex_);
    failure_ = std::current_exception();
  }
}

void Pool::serve(int thread) {
  for (int seen = 0;;) {
    for (int spins = 0; round_.load(std::memory_order_acquire) == seen && spins < SPINS; spins++) pause();
    const std::function<void(int)>* work;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return round_.load() != seen; });
      seen = round_.load();
      work = work_;
    }
    attempt(*work, thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace HASTE_NAMESPACE
