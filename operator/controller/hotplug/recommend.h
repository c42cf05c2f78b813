#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/demand/forecast.h"
#include "core/engine/policy.h"
#include "operator/controller/hotplug/facts.h"
#include "operator/controller/hotplug/rules.h"

// Which size a VM should have, from what is foretold of its next hour. Pure.
namespace whorl::controller::hotplug {

// What the engine tells of one VM.
struct Foreseen {
  std::optional<Quantiles> cpu = {};     // millicores, mean of any five minutes of the next hour
  std::optional<Quantiles> memory = {};  // bytes resident, likewise
  // What the guest says it could do without now, its page cache included. Without
  // it resident memory says nothing: a guest keeps every page it has touched.
  std::optional<Bytes> guest_usable = {};
  std::uint32_t buckets = 0;  // of five minutes that the forecasts were learnt from
};

struct RecommendOptions {
  double margin = 0.15;              // on top of every quantile
  std::uint32_t least_buckets = 24;  // two hours; of fewer a forecast is luck
  Seconds raise_after{1'800};        // a larger size must be wanted for so long ...
  Seconds lower_after{21'600};       // ... and a smaller one for so long, before it is recommended
  Bytes memory_step{256LL << 20};
};

// A recommended value that does not flap: it rises to the least that was wanted
// throughout raise_after, and falls to the most that was wanted throughout
// lower_after. Plain data; one per VM and resource.
class Steady {
 public:
  // `now` is monotonic.
  std::int64_t Take(std::int64_t wanted, std::int64_t current, Millis now, const RecommendOptions& options);

 private:
  std::optional<std::int64_t> shown_;
  std::optional<std::int64_t> pending_;  // what to move to, if it lasts
  Millis since_{0};
};

// Of one resource: whole sockets, or bytes.
struct Range {
  std::int64_t current = 0;
  std::int64_t target = 0;  // never below current: KubeVirt takes nothing from a running VM for certain
  std::int64_t lower = 0;   // enough half of the time
  std::int64_t upper = 0;   // enough 99 times of 100
  std::string why;
};

struct Recommendation {
  std::optional<Range> sockets = {};  // nullopt: nothing can be said, `sockets_why` says why
  std::optional<Range> memory = {};
  std::string sockets_why = {};
  std::string memory_why = {};

  // The parts whose target differs from what the VM has.
  Target Change() const;
  // Both parts in one patch are one migration.
  int expected_migrations() const;
};

struct Recommender {
  Steady sockets;
  Steady memory;

  Recommendation Recommend(const VmFacts& vm, const InstanceFacts& vmi, const Foreseen& foreseen, Millis now,
                           const RecommendOptions& options = {});
};

}  // namespace whorl::controller::hotplug
