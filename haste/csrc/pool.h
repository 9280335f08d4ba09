// Threads that share each piece of work and meet after it: they spin for a moment, then sleep. On a busy machine a
// thread may be late; what it has not begun by then the others do, so that nobody waits for one that has nothing to do.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace HASTE_NAMESPACE {

class Pool {
 public:
  // The process's pool of that many threads, made for its first user; of one thread, the program's own. A forked child
  // makes its own, for it has not got its parent's threads; a fork waits until no program runs.
  static Pool& of(int threads, const void* program);
  // The end of a program that had a pool of its own.
  static void drop(const void* program);
  std::mutex turn;  // who holds it may run: programs that share a pool take turns, so that threads never compete
  int threads() const { return (int)workers_.size() + 1; }
  // Run work(share) for every share from 0 to threads(), each on whichever thread is free, the caller's among them, and
  // return when all are done; throws what one of them threw.
  void run(const std::function<void(int)>& work);

 private:
  struct Worker {
    std::thread thread;
    bool asleep = false, moved = false;  // guarded by mutex_
  };
  explicit Pool(int threads);
  void serve(Worker& own);
  // Let who sleeps wake on any of the caller's cores but the one where it is. To Linux a halted core of a virtual
  // machine does not look idle: it would wake a worker behind its caller, and for milliseconds both would share one
  // core of two.
  void keep_apart();
  // Do shares of this round until none is left to begin.
  void help(uint64_t round);
  std::vector<Worker> workers_;
#ifdef __linux__
  cpu_set_t cores_{};  // the last caller's, what a moved worker gets back; guarded by mutex_
#endif
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<uint64_t> ticket_{0};  // the round, and the next share of it: whoever moves it on owns that share
  std::atomic<int> left_{0};         // shares of this round that are not done
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace HASTE_NAMESPACE
