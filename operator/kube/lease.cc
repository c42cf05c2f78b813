#include "operator/kube/lease.h"

#include <algorithm>
#include <utility>

#include "operator/kube/json.h"

namespace whorl::kube {

namespace {

ResourcePath LeasePath(const LeaderElectorOptions& options) {
  return {.group = "coordination.k8s.io", .version = "v1", .plural = "leases", .ns = options.ns, .name = options.name};
}

Json LeaseObject(const LeaderElectorOptions& options, const std::string& holder, std::int64_t duration_seconds,
                 const std::string& acquire_time, const std::string& renew_time, std::int64_t transitions,
                 const std::string& resource_version) {
  auto object = ObjectHead("coordination.k8s.io/v1", "Lease", options.ns, options.name);
  if (!resource_version.empty()) object["metadata"]["resourceVersion"] = resource_version;
  object["spec"] = {{"holderIdentity", holder},
                    {"leaseDurationSeconds", duration_seconds},
                    {"acquireTime", acquire_time},
                    {"renewTime", renew_time},
                    {"leaseTransitions", transitions}};
  return object;
}

}  // namespace

Status LeaderElector::Check(const LeaderElectorOptions& options) {
  if (options.identity.empty() || options.name.empty() || options.ns.empty()) {
    return Fail(Code::kInvalid, "leader election: namespace, name and identity must all be set");
  }
  // renew > 1.2 * retry, or one lost request costs the lease.
  if (options.lease_duration <= options.renew_deadline ||
      options.renew_deadline.count() * 10 <= options.retry_period.count() * 12 || options.retry_period <= Seconds{0}) {
    return Fail(Code::kInvalid,
                "leader election: lease duration must exceed renew deadline, and that 1.2 times the retry "
                "period; use 15, 10 and 2 s");
  }
  return {};
}

LeaderElector::LeaderElector(Client& client, WaitingClock& clock, LeaderElectorOptions options)
    : client_(client),
      clock_(clock),
      options_(std::move(options)),
      random_(options_.seed != 0 ? options_.seed : std::random_device{}()) {}

LeaderElector::~LeaderElector() { Stop(); }

void LeaderElector::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void LeaderElector::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void LeaderElector::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (auto ok = Step(); !ok && options_.on_trouble) options_.on_trouble(ok.error());
    const auto period = Millis(options_.retry_period);
    const auto jitter = std::uniform_int_distribution<std::int64_t>(0, period.count() / 5)(random_);
    clock_.WaitFor(period + Millis{jitter}, stop);
  }
  if (auto ok = Release(); !ok && options_.on_trouble) options_.on_trouble(ok.error());
}

Status LeaderElector::Step() {
  auto outcome = TryAcquireOrRenew();
  // Whatever came of it: a lease that ran out by our clock is lost.
  bool expired = false;
  {
    std::scoped_lock lock(mu_);
    expired = leading_ && clock_.Monotonic() - renewed_at_ >= options_.lease_duration;
  }
  if (expired) LoseLead();
  return outcome;
}

Status LeaderElector::TryAcquireOrRenew() {
  std::optional<Record> known;
  {
    std::scoped_lock lock(mu_);
    if (leading_) known = observed_;
  }
  // While we lead, our own last write is almost surely what stands there.
  if (known) {
    auto renewed = Put(known);
    const auto otherwise = renewed ? Code::kInternal : renewed.error().code;
    if (otherwise != Code::kConflict && otherwise != Code::kNotFound) return renewed;
  }
  auto read = Read();
  if (!read) return Fail(read.error());
  if (!*read) return Put(std::nullopt);
  Observe(**read);
  const auto& current = **read;
  bool free = false;
  {
    std::scoped_lock lock(mu_);
    const auto age = clock_.Monotonic() - observed_at_;
    free = current.holder.empty() || current.holder == options_.identity ||
           age >= Seconds{current.duration_seconds > 0 ? current.duration_seconds : options_.lease_duration.count()};
  }
  if (current.holder != options_.identity) LoseLead();  // somebody took it, so it was not ours any more
  if (!free) return {};
  auto taken = Put(current);
  if (!taken && taken.error().code == Code::kConflict) return {};  // another one was quicker
  return taken;
}

Result<std::optional<LeaderElector::Record>> LeaderElector::Read() {
  const auto document = client_.Get(LeasePath(options_));
  if (!document) {
    if (document.error().code == Code::kNotFound) return std::optional<Record>();
    return Fail(document.error());
  }
  return std::optional<Record>(ToRecord(document->root()));
}

LeaderElector::Record LeaderElector::ToRecord(JsonView lease) {
  Record record;
  // Absent fields are how an untouched or released Lease looks.
  record.holder = lease.FindString({"spec", "holderIdentity"}).value_or("");
  record.duration_seconds = lease.FindInt({"spec", "leaseDurationSeconds"}).value_or(0);
  record.acquire_time = lease.FindString({"spec", "acquireTime"}).value_or("");
  record.renew_time = lease.FindString({"spec", "renewTime"}).value_or("");
  record.transitions = lease.FindInt({"spec", "leaseTransitions"}).value_or(0);
  record.resource_version = lease.FindString({"metadata", "resourceVersion"}).value_or("");
  return record;
}

Status LeaderElector::Put(const std::optional<Record>& current) {
  // Counted from before the request: the server cannot have taken it earlier.
  const auto asked_at = clock_.Monotonic();
  const auto now = Rfc3339Micro(clock_.Now());
  const bool ours = current && current->holder == options_.identity;
  std::int64_t transitions = 0;
  if (current) {
    transitions = ours ? current->transitions : current->transitions + 1;
  } else {
    // Somebody deleted it: go on counting, epochs must not fall back.
    std::scoped_lock lock(mu_);
    if (observed_) transitions = observed_->transitions + 1;
  }
  const auto acquired = ours && !current->acquire_time.empty() ? current->acquire_time : now;
  const auto object = LeaseObject(options_, options_.identity, options_.lease_duration.count(), acquired, now,
                                  transitions, current ? current->resource_version : "");
  const auto path = LeasePath(options_);
  auto collection = path;
  collection.name.clear();
  const auto written = current ? client_.Replace(path, object) : client_.Create(collection, object);
  if (!written) return Fail(written.error());
  Observe(ToRecord(written->root()));
  bool became = false;
  {
    std::scoped_lock lock(mu_);
    renewed_at_ = asked_at;
    became = !leading_;
    leading_ = true;
  }
  if (became && options_.on_started_leading) options_.on_started_leading(transitions);
  return {};
}

Status LeaderElector::Release() {
  std::optional<Record> ours;
  {
    std::scoped_lock lock(mu_);
    if (leading_) ours = observed_;
  }
  if (!ours) return {};
  // First no longer leading, then free for others.
  LoseLead();
  const auto now = Rfc3339Micro(clock_.Now());
  const auto released = client_.Replace(
      LeasePath(options_), LeaseObject(options_, "", 1, now, now, ours->transitions, ours->resource_version));
  if (!released && released.error().code != Code::kConflict) return Fail(released.error());
  return {};
}

void LeaderElector::Observe(const Record& record) {
  bool new_holder = false;
  {
    std::scoped_lock lock(mu_);
    if (observed_ == record) return;
    new_holder = !observed_ || observed_->holder != record.holder;
    observed_ = record;
    observed_at_ = clock_.Monotonic();
  }
  if (new_holder && options_.on_new_leader) options_.on_new_leader(record.holder);
}

void LeaderElector::LoseLead() {
  {
    std::scoped_lock lock(mu_);
    if (!leading_) return;
    leading_ = false;
  }
  if (options_.on_stopped_leading) options_.on_stopped_leading();
}

bool LeaderElector::IsLeader() const {
  std::scoped_lock lock(mu_);
  return leading_ && clock_.Monotonic() - renewed_at_ < options_.lease_duration;
}

bool LeaderElector::RenewDeadlinePassed() const {
  std::scoped_lock lock(mu_);
  return leading_ && clock_.Monotonic() - renewed_at_ >= options_.renew_deadline;
}

std::optional<std::int64_t> LeaderElector::transitions() const {
  std::scoped_lock lock(mu_);
  if (!observed_) return std::nullopt;
  return observed_->transitions;
}

std::string LeaderElector::leader() const {
  std::scoped_lock lock(mu_);
  return observed_ ? observed_->holder : "";
}

}  // namespace whorl::kube
