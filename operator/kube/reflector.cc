#include "operator/kube/reflector.h"

#include <malloc.h>

#include <algorithm>

namespace whorl::kube {

namespace {

constexpr Millis kMinIdle{90'000};
constexpr Millis kTooShortWatch{1'000};

Result<ObjectKey> KeyOf(JsonView object) {
  const auto name = object.String({"metadata", "name"});
  if (!name) return Fail(name.error());
  return ObjectKey{std::string(object.FindString({"metadata", "namespace"}).value_or("")), std::string(*name)};
}

// resourceVersions are decimal and comparable within one kind (since 1.35):
// by length, then by text. Anything else compares as not older.
bool Older(std::string_view a, std::string_view b) {
  const auto decimal = [](std::string_view v) {
    return !v.empty() && std::all_of(v.begin(), v.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!decimal(a) || !decimal(b)) return false;
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace

ReflectorLoop::ReflectorLoop(Client& client, ResourcePath path, ReflectorOptions options, WaitingClock& clock,
                             Sink& sink)
    : client_(client),
      path_(std::move(path)),
      options_(std::move(options)),
      clock_(clock),
      sink_(sink),
      random_(options_.seed != 0 ? options_.seed : std::random_device{}()) {}

void ReflectorLoop::Run(const std::stop_token& stop) {
  auto backoff = options_.min_backoff;
  const auto wait = [&] {
    // Jitter up to half as much again, so that replicas do not return together.
    const auto jitter = std::uniform_int_distribution<std::int64_t>(0, backoff.count() / 2)(random_);
    clock_.WaitFor(backoff + Millis{jitter}, stop);
    backoff = std::min(backoff * 2, options_.max_backoff);
  };
  Millis listed_at{0};
  bool listed = false;
  int timeouts = 0;  // in a row
  while (!stop.stop_requested()) {
    if (resource_version_.empty()) {
      // Watch gone, list, watch gone, list ...: not in a tight loop.
      if (listed && clock_.Monotonic() - listed_at < options_.min_backoff) wait();
      if (stop.stop_requested()) return;
      listed_at = clock_.Monotonic();
      listed = true;
      if (auto ok = ListOnce(stop); !ok) {
        if (stop.stop_requested()) return;
        Trouble(ok.error());
        wait();
        continue;
      }
    }
    const auto started = clock_.Monotonic();
    const auto before = counters().events + counters().bookmarks;
    const auto ended = WatchOnce(stop);
    if (stop.stop_requested()) return;
    const auto lasted = clock_.Monotonic() - started;
    const bool heard = counters().events + counters().bookmarks != before;
    if (lasted >= options_.healthy_after) backoff = options_.min_backoff;
    if (ended) {
      timeouts = 0;
      Touch();
      if (lasted < kTooShortWatch && !heard) {
        wait();
      } else {
        backoff = options_.min_backoff;
      }
      continue;
    }
    if (ended.error().code == Code::kGone) {
      std::scoped_lock lock(counters_mu_);
      ++counters_.gone;
      resource_version_.clear();
      continue;
    }
    // Nothing was said for long. That is how a kind looks that does not change
    // on a server whose etcd sends no progress (bookmarks then do not come); or
    // the connection is dead, which the next one will show. Neither is a trouble.
    if (ended.error().code == Code::kTimeout && lasted >= IdleTimeout()) {
      std::scoped_lock lock(counters_mu_);
      ++counters_.idle;
      continue;
    }
    Trouble(ended.error());
    // A line we could not read may have been a change: only a list tells. And a
    // server that never answers for this resourceVersion may have lost it (its
    // storage restored from a backup): ask without.
    timeouts = ended.error().code == Code::kTimeout ? timeouts + 1 : 0;
    if (ended.error().code == Code::kCorrupt || ended.error().code == Code::kInvalid || timeouts >= 3) {
      resource_version_.clear();
      timeouts = 0;
    }
    wait();
  }
}

Status ReflectorLoop::ListOnce(const std::stop_token& stop) {
  {
    std::scoped_lock lock(counters_mu_);
    ++counters_.lists;
  }
  sink_.BeginList();
  const auto on_item = [&](JsonView object) {
    const auto key = KeyOf(object);
    if (!key) return Undecodable(ObjectKey{}, key.error());
    if (auto ok = sink_.Listed(*key, object); !ok) Undecodable(*key, ok.error());
  };
  const auto version = client_.List(
      path_, ListOptions{options_.label_selector, options_.field_selector}, on_item, [&] { sink_.BeginList(); }, stop);
  if (!version) return Fail(version.error());
  if (Older(*version, newest_)) {
    Trouble(Error{Code::kCorrupt, "LIST " + path_.Text() + ": resourceVersion went back from " + newest_ + " to " +
                                      *version + "; was the API server's storage restored from a backup?"});
  }
  newest_ = *version;
  sink_.EndList();
  resource_version_ = *version;
  Touch();
  synced_.store(true);
  // The pages were large and are gone; the store that stays is small.
  malloc_trim(0);
  return {};
}

Status ReflectorLoop::WatchOnce(const std::stop_token& stop) {
  {
    std::scoped_lock lock(counters_mu_);
    ++counters_.watches;
  }
  WatchOptions watch;
  watch.label_selector = options_.label_selector;
  watch.field_selector = options_.field_selector;
  watch.resource_version = resource_version_;
  const auto longest = std::max(options_.min_watch.count(), options_.max_watch.count());
  watch.server_timeout =
      Seconds{std::uniform_int_distribution<std::int64_t>(options_.min_watch.count(), longest)(random_)};
  watch.idle_timeout = IdleTimeout();
  watch.on_open = [this] { Touch(); };
  std::optional<Error> broken;
  auto ended = client_.Watch(
      path_, watch,
      [&](std::string_view type, JsonView object) {
        auto ok = OnEvent(type, object);
        if (!ok) broken = ok.error();
        return ok.has_value();
      },
      stop);
  if (broken) return Fail(*broken);
  return ended;
}

Status ReflectorLoop::OnEvent(std::string_view type, JsonView object) {
  const auto version = object.String({"metadata", "resourceVersion"});
  if (!version || version->empty()) {
    return Fail(Code::kCorrupt, "WATCH " + path_.Text() + ": an event without resourceVersion");
  }
  Touch();
  if (type == "BOOKMARK") {
    std::scoped_lock lock(counters_mu_);
    ++counters_.bookmarks;
  } else {
    const auto key = KeyOf(object);
    if (!key) return Fail(Code::kCorrupt, "WATCH " + path_.Text() + ": " + key.error().message);
    {
      std::scoped_lock lock(counters_mu_);
      ++counters_.events;
    }
    if (type == "DELETED") {
      sink_.Remove(*key);
    } else if (auto ok = sink_.Put(*key, object); !ok) {
      Undecodable(*key, ok.error());
      sink_.Remove(*key);
    }
  }
  resource_version_ = *version;
  if (!Older(resource_version_, newest_)) newest_ = resource_version_;
  return {};
}

Millis ReflectorLoop::IdleTimeout() const { return std::max(options_.idle_timeout, kMinIdle); }

std::optional<Millis> ReflectorLoop::AgeOfLastContact() const {
  const auto at = last_contact_.load();
  if (at < 0) return std::nullopt;
  return clock_.Monotonic() - Millis{at};
}

ReflectorCounters ReflectorLoop::counters() const {
  std::scoped_lock lock(counters_mu_);
  return counters_;
}

void ReflectorLoop::Touch() { last_contact_.store(clock_.Monotonic().count()); }

void ReflectorLoop::Trouble(const Error& error) {
  {
    std::scoped_lock lock(counters_mu_);
    ++counters_.failures;
  }
  if (options_.on_trouble) options_.on_trouble(error);
}

void ReflectorLoop::Undecodable(const ObjectKey& key, const Error& error) {
  {
    std::scoped_lock lock(counters_mu_);
    ++counters_.undecodable;
  }
  if (options_.on_trouble) {
    options_.on_trouble(error.In(path_.Text() + " " + key.Text() + ": left out, because it cannot be read"));
  }
}

}  // namespace whorl::kube
