#include "pool.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#ifdef __unix__
#include <pthread.h>
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

// A ticket: the round in the high bits, the next share in the low ones.
constexpr uint64_t ROUND = 1 << 16;

inline uint64_t round_of(uint64_t ticket) { return ticket / ROUND; }

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Pool::Pool(int threads) : workers_(threads - 1) {
  for (Worker& own : workers_) own.thread = std::thread([this, &own] { serve(own); });
}

namespace {

struct Pools {
  std::mutex mutex;
  std::map<std::tuple<int64_t, int, const void*>, std::unique_ptr<Pool>> found;
};

#ifdef __unix__
void before_fork();
void after_fork();
#endif

Pools& pools() {
  static Pools& all = *[] {
#ifdef __unix__
    pthread_atfork(before_fork, after_fork, after_fork);
#endif
    return new Pools;  // never ended: threads may still be asleep in them
  }();
  return all;
}

#ifdef __unix__
// A child gets the memory as it is, and of all threads the one that forks: no program may be half-way then.
void before_fork() {
  pools().mutex.lock();
  for (auto& [key, pool] : pools().found) pool->turn.lock();
}

void after_fork() {
  for (auto& [key, pool] : pools().found) pool->turn.unlock();
  pools().mutex.unlock();
}
#endif

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
  work_ = &work;
  left_.store(threads(), std::memory_order_relaxed);
  const uint64_t round = round_of(ticket_.load(std::memory_order_relaxed)) + 1;
  {
    std::lock_guard<std::mutex> lock(mutex_);  // or a thread that is about to sleep would miss it
    ticket_.store(round * ROUND, std::memory_order_release);
    keep_apart();
  }
  wake_.notify_all();
  help(round);
  for (int spins = 0; left_.load(std::memory_order_acquire) > 0; spins++)
    if (spins < SPINS) pause();
    else std::this_thread::yield();
  if (failure_) std::rethrow_exception(failure_);
}

void Pool::keep_apart() {
#ifdef __linux__
  const int core = sched_getcpu();
  const auto waits = [](const Worker& one) { return one.asleep && !one.moved; };
  if (core < 0 || std::none_of(workers_.begin(), workers_.end(), waits)) return;
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) || CPU_COUNT(&cores) < 2) return;
  cores_ = cores;
  CPU_CLR(core, &cores);
  for (Worker& one : workers_)
    if (waits(one)) one.moved = !pthread_setaffinity_np(one.thread.native_handle(), sizeof cores, &cores);
#endif
}

void Pool::help(uint64_t round) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (round_of(ticket) == round && ticket % ROUND < (uint64_t)threads()) {
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
    try {
      (*work_)((int)(ticket % ROUND));
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      failure_ = std::current_exception();
    }
    left_.fetch_sub(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Pool::serve(Worker& own) {
  const auto round = [this] { return round_of(ticket_.load(std::memory_order_acquire)); };
  for (uint64_t seen = 0;;) {
    for (int spins = 0; round() == seen && spins < SPINS; spins++) pause();
    if (round() == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      own.asleep = true;
      wake_.wait(lock, [&] { return round() != seen; });
      own.asleep = false;
#ifdef __linux__
      const bool moved = std::exchange(own.moved, false);
      const cpu_set_t cores = cores_;
      lock.unlock();
      if (moved) pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
#endif
    }
    seen = round();
    help(seen);
  }
}

}  // namespace HASTE_NAMESPACE
