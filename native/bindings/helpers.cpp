#include "helpers.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

namespace jpegfreq::python {

namespace {

// The cores that the calling thread may use, and with them its helpers.
class Cores {
public:
#if defined(__linux__)
    Cores() {
        if (sched_getaffinity(0, sizeof all_, &all_) != 0) return;  // more cores than a cpu_set_t has bits
        known_ = true;
        elsewhere_ = all_;
        const int here = sched_getcpu();
        if (here >= 0 && here < CPU_SETSIZE) CPU_CLR(here, &elsewhere_);
        if (CPU_COUNT(&elsewhere_) == 0) elsewhere_ = all_;
    }

    // See Note [Another core].
    void begin_elsewhere(pthread_t thread) const {
        if (known_) pthread_setaffinity_np(thread, sizeof elsewhere_, &elsewhere_);
    }
    void use_all() const {
        if (known_) sched_setaffinity(0, sizeof all_, &all_);
    }

private:
    bool known_ = false;
    cpu_set_t all_, elsewhere_;
#else
    void begin_elsewhere(pthread_t) const {}
    void use_all() const {}
#endif
};

// Note [Another core]
// A thread that wakes up may be queued behind the thread that woke it, on a core that this one keeps busy, while another core
// sleeps. Linux then moves it at one of the next ticks of its clock, milliseconds later: a batch can be over by then. Kernels of
// virtual machines that gather threads on few cores do so after every pause of a few milliseconds. So a helper wakes up with the
// core of its caller forbidden, and allows itself all cores again as its first step.

// A thread that waits for work. Its memory is freed by the thread itself as it ends, or never.
class Helper {
public:
    using Work = std::function<void(bool)>;

    // nullptr where the system gives no thread.
    static Helper* start() {
        Helper* helper = nullptr;
        try {
            helper = new Helper;
            std::thread thread([helper] { helper->wait_for_work(); });
            helper->thread_ = thread.native_handle();
            thread.detach();
            return helper;
        } catch (const std::exception&) {
            delete helper;
            return nullptr;
        }
    }

    void begin(const Work& work, const Cores& cores) {
        const std::lock_guard<std::mutex> lock(mutex_);
        cores.begin_elsewhere(thread_);
        work_ = &work;
        cores_ = &cores;
        changed_.notify_one();
    }

    // Waits until the work has ended.
    void join() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return work_ == nullptr; });
    }

    // Nothing may be called after it.
    void end() {
        const std::lock_guard<std::mutex> lock(mutex_);
        ends_ = true;
        changed_.notify_one();
    }

private:
    Helper() = default;

    void wait_for_work() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (true) {
            changed_.wait(lock, [this] { return work_ != nullptr || ends_; });
            if (ends_) break;
            lock.unlock();
            cores_->use_all();
            (*work_)(false);
            lock.lock();
            work_ = nullptr;
            changed_.notify_one();
        }
        lock.unlock();
        delete this;
    }

    std::mutex mutex_;
    std::condition_variable changed_;  // work came or has ended; only one thread waits at a time
    const Work* work_ = nullptr;
    const Cores* cores_ = nullptr;
    bool ends_ = false;
    pthread_t thread_;
};

// The helpers that have nothing to do. They are kept for the next call, with their scratch memory: to start a thread, let it
// allocate and wait for its end takes longer than some images.
class Crew {
public:
    static Crew& crew() {
        static Crew* crew = new Crew;  // never freed: the helpers wait when static objects are destroyed
        return *crew;
    }

    Helper* take() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!idle_.empty()) {
                Helper* helper = idle_.back();
                idle_.pop_back();
                return helper;
            }
        }
        return Helper::start();
    }

    void give_back(Helper* helper) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (idle_.size() < most_idle_) {
                idle_.push_back(helper);
                return;
            }
        }
        helper->end();
    }

private:
    // A child of fork() has none of these threads, and must not find the lock held by a thread that it does not have.
    Crew() : most_idle_(std::max(1u, std::thread::hardware_concurrency())) {
        idle_.reserve(most_idle_);
        pthread_atfork([] { crew().mutex_.lock(); }, [] { crew().mutex_.unlock(); },
                       [] {
                           crew().idle_.clear();
                           crew().mutex_.unlock();
                       });
    }

    std::mutex mutex_;
    std::vector<Helper*> idle_;
    const size_t most_idle_;
};

}  // namespace

void run_on_threads(size_t threads, const std::function<void(bool)>& work) {
    std::vector<Helper*> helpers;
    helpers.reserve(threads - 1);
    const Cores cores;
    for (size_t i = 1; i < threads; i++) {
        Helper* helper = Crew::crew().take();
        if (helper == nullptr) break;  // those that run do the work
        helper->begin(work, cores);
        helpers.push_back(helper);
    }
    work(true);
    for (Helper* helper : helpers) {
        helper->join();
        Crew::crew().give_back(helper);
    }
}

}  // namespace jpegfreq::python
