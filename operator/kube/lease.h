#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "core/base/result.h"
#include "operator/kube/client.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::kube {

struct LeaderElectorOptions {
  std::string ns;
  std::string name;
  std::string identity;  // unique per process: pod name and uid
  Seconds lease_duration{15};
  Seconds renew_deadline{10};
  Seconds retry_period{2};
  std::uint64_t seed = 0;  // of the jitter; 0: from the kernel
  // From the elector's thread; they must not block for long, renewals wait.
  std::function<void(std::int64_t transitions)> on_started_leading;
  std::function<void()> on_stopped_leading;
  std::function<void(const std::string& identity)> on_new_leader;
  std::function<void(const Error&)> on_trouble;
};

// Leader election on a coordination.k8s.io Lease. Other holders' expiry is
// judged only by our own clock since we last saw their record change, never by
// the times they wrote. It is not fencing: the caller carries leaseTransitions
// as part of its epoch. Thread-safe.
//
// Give it a Client of its own, whose request_timeout is well below the renew
// deadline (4 s): a request that hangs for long costs the lease.
class LeaderElector {
 public:
  // All must outlive it. kInvalid unless lease_duration > renew_deadline >
  // 1.2 * retry_period.
  static Status Check(const LeaderElectorOptions& options);
  LeaderElector(Client& client, WaitingClock& clock, LeaderElectorOptions options);
  ~LeaderElector();  // Stop()

  void Start();
  // Gives the lease back, so that the next one need not wait it out.
  void Stop();

  // Held, and renewed within lease_duration by our own clock: may be true for a
  // while after the renew deadline has passed.
  bool IsLeader() const;
  // True while leading but not renewed for renew_deadline: only renew, return
  // and restore; no new loans.
  bool RenewDeadlinePassed() const;
  // leaseTransitions of the Lease as last seen; nullopt before it was read.
  std::optional<std::int64_t> transitions() const;
  std::string leader() const;  // identity of the holder as last seen

  // One attempt to acquire or renew, on the caller's thread; what the thread
  // does each retry period. Only for use without Start.
  Status Step();

 private:
  struct Record {
    std::string holder;
    std::int64_t duration_seconds = 0;
    std::string acquire_time;
    std::string renew_time;
    std::int64_t transitions = 0;
    std::string resource_version;
    bool operator==(const Record&) const = default;
  };

  void Run(const std::stop_token& stop);
  Status TryAcquireOrRenew();
  Result<std::optional<Record>> Read();
  static Record ToRecord(JsonView lease);
  // Writes ourselves as holder over `current` (nullopt: creates the Lease).
  Status Put(const std::optional<Record>& current);
  Status Release();
  void Observe(const Record& record);
  void LoseLead();

  Client& client_;
  WaitingClock& clock_;
  const LeaderElectorOptions options_;
  std::mt19937_64 random_;

  mutable std::mutex mu_;
  std::optional<Record> observed_;  // under mu_
  Millis observed_at_{0};           // under mu_; when the record last changed
  bool leading_ = false;            // under mu_
  Millis renewed_at_{0};            // under mu_
  std::jthread thread_;
};

}  // namespace whorl::kube
