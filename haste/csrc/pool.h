// Threads that meet after each piece of work: they spin for a moment, then sleep.
#pragma once
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace HASTE_NAMESPACE {

class Pool {
 public:
  // The process's pool of that many threads, made for its first user; of one thread, the program's own. A forked child
  // makes its own, for it has not got its parent's threads, nor can it wait for a turn that they hold.
  static Pool& of(int threads, const void* program);
  // The end of a program that had a pool of its own.
  static void drop(const void* program);
  std::mutex turn;  // who holds it may run: programs that share a pool take turns, so that threads never compete
  int threads() const { return (int)workers_.size() + 1; }
  // Run work(thread) on every thread, the caller's being 0, and return when all are done; throws what one of them threw.
  void run(const std::function<void(int)>& work);

 private:
  explicit Pool(int threads);
  void serve(int thread);
  void attempt(const std::function<void(int)>& work, int thread);
  std::vector<std::thread> workers_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<int> round_{0}, busy_{0};
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace HASTE_NAMESPACE
