#include "operator/kube/events.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "operator/kube/json.h"

namespace whorl::kube {

namespace {

const ResourcePath kEvents{.group = "events.k8s.io", .version = "v1", .plural = "events"};
constexpr std::size_t kMaxNote = 1024;
constexpr std::size_t kMaxName = 128;
// How long the recorder waits after the server said it is overloaded.
constexpr Millis kOverloadPause{30'000};
constexpr Millis kSweepEvery{1'000};
// Bounds of what is remembered; the oldest goes first.
constexpr std::size_t kMostSeries = 4096;
constexpr std::size_t kMostBuckets = 8192;

// Cuts at a UTF-8 character's boundary.
std::string Shortened(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text;
}

std::string Hex(std::uint64_t value) {
  std::array<char, 24> text{};
  const int length = std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(value));
  return {text.data(), static_cast<std::size_t>(length)};
}

bool Overloaded(const Error& error) { return error.code == Code::kUnavailable || error.code == Code::kTimeout; }

}  // namespace

EventRecorder::EventRecorder(Client& client, WaitingClock& clock, EventRecorderOptions options)
    : client_(client), clock_(clock), options_(std::move(options)) {}

EventRecorder::~EventRecorder() { Stop(); }

void EventRecorder::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void EventRecorder::Record(Event event) {
  const auto now = clock_.Now();
  std::scoped_lock lock(mu_);
  if (queue_.size() >= options_.queue_capacity) {
    ++counters_.dropped;
    return;
  }
  // Unique like client-go's: the object's name and the time, and a number for
  // two within one millisecond.
  auto name = Shortened(event.regarding.name, 200) + "." +
              Hex(static_cast<std::uint64_t>(ToUnixMillis(now)) * 1'000'000 + ++sequence_ % 1'000'000);
  queue_.push_back(Queued{std::move(event), now, clock_.Monotonic(), std::move(name)});
  ready_.notify_one();
}

void EventRecorder::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

EventCounters EventRecorder::counters() const {
  std::scoped_lock lock(mu_);
  return counters_;
}

void EventRecorder::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mu_);
      ready_.wait_for(lock, stop, kSweepEvery, [this] { return !queue_.empty(); });
    }
    if (stop.stop_requested()) break;
    Drain();
  }
  flush_until_ = clock_.Monotonic() + options_.flush_timeout;
  back_off_until_ = Millis{0};
  Drain();
  SweepSeries(true);
}

void EventRecorder::Drain() {
  for (;;) {
    const auto now = clock_.Monotonic();
    if (now < back_off_until_) return;  // what is queued waits; the queue is bounded
    if (flush_until_ && now >= *flush_until_) break;
    Queued next;
    {
      std::scoped_lock lock(mu_);
      if (queue_.empty()) break;
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    if (!Handle(next)) {
      // Overloaded or away: it goes back to the front, unless we are ending.
      std::scoped_lock lock(mu_);
      if (flush_until_) {
        ++counters_.failed;
      } else {
        queue_.push_front(std::move(next));
        return;
      }
    }
  }
  SweepSeries(false);
}

bool EventRecorder::Handle(const Queued& queued) {
  const auto& event = queued.event;
  const SeriesKey key{event.regarding, event.related.value_or(ObjectRef{}), event.type, event.reason, event.action,
                      event.distinct};
  if (const auto it = series_.find(key); it != series_.end()) {
    auto& series = it->second;
    if (queued.seen_at - series.last_seen_at < options_.series_quiet) {
      ++series.count;
      series.last_seen = queued.seen;
      series.last_seen_at = queued.seen_at;
      {
        std::scoped_lock lock(mu_);
        ++counters_.series;
      }
      // The second makes it a series; the later ones wait for the heartbeat.
      if (series.count == 2) WriteSeries(series);
      return true;
    }
    if (series.count > series.written_count) WriteSeries(series);
    series_.erase(it);
  }
  if (!TakeToken(event.regarding, queued.seen_at)) {
    std::scoped_lock lock(mu_);
    ++counters_.rate_limited;
    return true;
  }
  const auto ns = event.regarding.ns.empty() ? std::string("default") : event.regarding.ns;
  if (auto ok = CreateEvent(queued, ns); !ok) {
    if (Overloaded(ok.error()) && !flush_until_) {
      BackOff(ok.error());
      ReturnToken(event.regarding);
      return false;
    }
    Trouble(ok.error());
    std::scoped_lock lock(mu_);
    ++counters_.failed;
    return true;
  }
  {
    std::scoped_lock lock(mu_);
    ++counters_.created;
  }
  if (series_.size() >= kMostSeries) {
    series_.erase(std::min_element(series_.begin(), series_.end(), [](const auto& a, const auto& b) {
      return a.second.last_seen_at < b.second.last_seen_at;
    }));
  }
  series_[key] = Series{queued.name, ns, 1, 1, queued.seen, queued.seen_at, queued.seen_at};
  return true;
}

void EventRecorder::SweepSeries(bool closing) {
  const auto now = clock_.Monotonic();
  for (auto it = series_.begin(); it != series_.end();) {
    auto& series = it->second;
    if (now < back_off_until_ || (flush_until_ && now >= *flush_until_)) return;
    const bool quiet = now - series.last_seen_at >= options_.series_quiet;
    const bool unwritten = series.count > series.written_count;
    if (unwritten && (closing || quiet || now - series.last_written_at >= options_.series_heartbeat)) {
      WriteSeries(series);
    }
    const bool done = closing || (quiet && series.count == series.written_count);
    it = done ? series_.erase(it) : std::next(it);
  }
}

Status EventRecorder::CreateEvent(const Queued& queued, const std::string& ns) {
  const auto& event = queued.event;
  auto object = ObjectHead("events.k8s.io/v1", "Event", ns, queued.name);
  object["eventTime"] = Rfc3339Micro(queued.seen);
  object["reportingController"] = options_.controller;
  object["reportingInstance"] =
      Shortened(options_.instance.empty() ? options_.controller : options_.instance, kMaxName);
  object["reason"] = Shortened(event.reason, kMaxName);
  object["action"] = Shortened(event.action, kMaxName);
  object["regarding"] = ToJson(event.regarding);
  if (event.related) object["related"] = ToJson(*event.related);
  object["note"] = Shortened(event.note, kMaxNote);
  object["type"] = event.type == EventType::kWarning ? "Warning" : "Normal";
  auto written = client_.Create(kEvents.In(ns), object);
  // The name is ours alone: it is there already when the answer to an earlier
  // try was lost.
  if (!written && written.error().code != Code::kConflict) return Fail(written.error());
  return {};
}

void EventRecorder::WriteSeries(Series& series) {
  const Json patch{{"series", {{"count", series.count}, {"lastObservedTime", Rfc3339Micro(series.last_seen)}}}};
  const auto written = client_.MergePatch(kEvents.Named(series.event_ns, series.event_name), patch);
  if (!written) {
    if (Overloaded(written.error())) return BackOff(written.error());  // tried again at the next sweep
    // Gone after its hour, or refused: the next occurrence starts anew.
    Trouble(written.error());
  }
  series.written_count = series.count;
  series.last_written_at = clock_.Monotonic();
  if (written) {
    std::scoped_lock lock(mu_);
    ++counters_.patched;
  }
}

bool EventRecorder::TakeToken(const ObjectRef& object, Millis now) {
  if (buckets_.size() >= kMostBuckets && !buckets_.contains(object)) {
    buckets_.erase(std::min_element(buckets_.begin(), buckets_.end(),
                                    [](const auto& a, const auto& b) { return a.second.at < b.second.at; }));
  }
  auto [it, fresh] = buckets_.try_emplace(object, Bucket{options_.burst, now});
  auto& bucket = it->second;
  const double refilled =
      static_cast<double>((now - bucket.at).count()) / static_cast<double>(Millis(options_.refill).count());
  bucket.tokens = std::min(options_.burst, bucket.tokens + std::max(0.0, refilled));
  bucket.at = std::max(bucket.at, now);
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void EventRecorder::ReturnToken(const ObjectRef& object) {
  if (const auto it = buckets_.find(object); it != buckets_.end()) it->second.tokens += 1;
}

void EventRecorder::BackOff(const Error& error) {
  Trouble(error);
  if (!flush_until_) back_off_until_ = clock_.Monotonic() + kOverloadPause;
}

void EventRecorder::Trouble(const Error& error) {
  if (options_.on_trouble) options_.on_trouble(error);
}

}  // namespace whorl::kube
