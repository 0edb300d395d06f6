// kahuna-node: one process of a cluster.
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "config/node_options.hpp"
#include "core/base/fault_point.hpp"
#include "node/node.hpp"

// Read by jemalloc when it starts: memory that was freed goes back to the system after 5 s, by a thread of its own.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0";
}

namespace {

constexpr std::chrono::seconds stop_time_max{4};

int fail(int status, const std::string& message) {
  std::fprintf(stderr, "kahuna-node: %s\n", message.c_str());
  return status;
}

// Everything that was acknowledged is on disk: where an orderly stop hangs, a hard one loses nothing.
void stop_hard_after(std::chrono::seconds limit) {
  std::thread([limit] {
    std::this_thread::sleep_for(limit);
    std::fprintf(stderr, "kahuna-node: the stop took too long, ending at once\n");
    ::_exit(0);
  }).detach();
}

#ifdef KAHUNA_FAULT_POINTS
// For tests: dies as by kill -9 at the point that the environment names.
void die_at_fault_point() {
  const char* wanted = std::getenv("KAHUNA_FAULT_POINT");
  if (wanted == nullptr) return;
  kahuna::set_fault_handler([point = std::string(wanted)](std::string_view reached) {
    if (reached == point) ::kill(::getpid(), SIGKILL);
  });
}
#endif

bool is_signal_pending(const sigset_t& signals) {
  sigset_t pending;
  sigpending(&pending);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    if (sigismember(&signals, signal) == 1 && sigismember(&pending, signal) == 1) return true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  // Blocked before any thread exists, so that sigwait below is the only place that sees them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  // Whoever is woken goes on when the one who runs has had his turn: on busy cores more comes together at a time, and nothing is different
  // on idle ones (docs/performance.md). Where it is not allowed nothing is lost.
  const sched_param no_priority{};
  static_cast<void>(::sched_setscheduler(0, SCHED_BATCH, &no_priority));

  const auto loaded = kahuna::config::load_node_options(argc, argv, environ);
  if (!loaded) return fail(2, loaded.error().message);
  if (const auto* text = std::get_if<kahuna::config::information>(&*loaded)) {
    std::cout << text->text;
    return 0;
  }
  const auto& options = std::get<kahuna::config::node_options>(*loaded);
#ifdef KAHUNA_FAULT_POINTS
  die_at_fault_point();
#endif

  auto started = kahuna::node::running_node::start(options);
  if (const auto* failure = std::get_if<kahuna::node::start_failure>(&started)) return fail(failure->exit_status, failure->message);
  auto& node = *std::get<std::unique_ptr<kahuna::node::running_node>>(started);

  node.wait_until_ready([&] { return is_signal_pending(signals); });
  if (!is_signal_pending(signals))
    std::cout << "kahuna-node " << options.node_id << " ready on " << options.listen.text() << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  stop_hard_after(stop_time_max);
  node.stop();
  return 0;
}
