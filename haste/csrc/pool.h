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
  // The process's pool of that many threads, made for its first user.
  static Pool& shared(int threads);
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
  const int64_t owner_;  // the process that the threads live in
  std::atomic<int> round_{0}, busy_{0};
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace HASTE_NAMESPACE
