#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/time.h"
#include "operator/agent/sense/domain_stats.h"
#include "operator/agent/sense/finder.h"

namespace whorl::agent {

// Asks the libvirt of each launcher pod for balloon and disk figures, at most
// once per `period` and VM, and for the dirty rate of one VM after the other, on
// a thread of its own: a libvirt that does not answer costs its VM these features
// and nobody else anything. Thread-safe.
class DomainReader {
 public:
  struct Options {
    std::string proc_root = "/proc";
    Millis period{5000};
    Millis patience{3000};  // with one answer before the connection is cut
    // Between two calculations of a dirty rate on this node, whichever VM's: QEMU
    // hashes a few hundred pages per GiB twice, a second apart.
    Millis dirty_period{60000};
  };
  explicit DomainReader(Options options);
  ~DomainReader();
  DomainReader(const DomainReader&) = delete;
  DomainReader& operator=(const DomainReader&) = delete;

  // Which VMs to ask from now on.
  void Watch(std::vector<VmPlace> places);
  // The answer that came since the last call, once.
  std::optional<DomainStats> Take(const std::string& pod_uid);
  // Why there is no answer; empty when there is one.
  std::string Trouble(const std::string& pod_uid) const;
  // While true no question is begun: QEMU reads one byte by one, a thousand system
  // calls that a window of counting would take for the VM's own. Call each tick.
  void Rest(bool rest);
  // Cuts the connection of a VM whose libvirt is out of patience. Call each tick.
  void CutIfStuck();

 private:
  struct Connection;
  struct Vm {
    VmPlace place;
    std::shared_ptr<Connection> connection;
    Millis due{0};
    Millis pause{0};  // grows while it fails
    std::optional<DomainStats> fresh;
    std::string trouble;
    Millis dirty_asked{0};          // 0: never
    Millis dirty_refused_until{0};  // this libvirt or QEMU cannot
    bool dirty_wanted = false;      // a calculation is under way
  };
  // Whether it is this VM's turn to have its dirty rate calculated. With mu_.
  bool DirtyTurn(const std::string& pod_uid, Millis now) const;
  void Run(const std::stop_token& stop);

  const Options options_;
  mutable std::mutex mu_;
  std::condition_variable_any wake_;
  // All guarded by mu_:
  std::map<std::string, Vm> vms_;
  std::vector<std::shared_ptr<Connection>> retired_;  // to be closed by the worker
  std::string asking_;                                // pod of the call in progress
  std::optional<Millis> asking_since_;
  Millis dirty_due_{0};
  bool rests_ = false;
  std::jthread thread_;
};

}  // namespace whorl::agent
