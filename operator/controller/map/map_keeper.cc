#include "operator/controller/map/map_keeper.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "core/baseline/baseline.h"

namespace whorl::controller {
namespace {

// A map late by a minute is no loss, a plan late by a millisecond is.
constexpr int kNice = 15;

// What cannot be read says nothing here; its own engine says what is wrong with it.
Behaviour UsualOf(const std::string& blob) {
  Baseline baseline;
  LongMemory memory;
  return Load(blob, baseline, memory) ? BehaviourOf(baseline.scaling) : Behaviour{};
}

}  // namespace

MapKeeper::MapKeeper(const BaselineBank& bank, const Clock& clock, OnDrawn on_drawn, Options options)
    : bank_(bank), clock_(clock), on_drawn_(std::move(on_drawn)), options_(options) {}
MapKeeper::MapKeeper(const BaselineBank& bank, const Clock& clock, OnDrawn on_drawn)
    : MapKeeper(bank, clock, std::move(on_drawn), Options{}) {}
MapKeeper::~MapKeeper() { Stop(); }

void MapKeeper::Start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "behaviour-map");
    // On Linux a nice value belongs to a thread.
    if (setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice) != 0) {
      spdlog::warn("behaviour map: its thread keeps the usual priority");
    }
    Run(stop);
  });
}

void MapKeeper::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void MapKeeper::SetFleet(std::vector<FleetName> fleet) {
  std::scoped_lock lock(mu_);
  fleet_ = std::move(fleet);
  if (fleet_.empty()) picture_.reset();
}

std::shared_ptr<const FleetPicture> MapKeeper::Current() const {
  std::scoped_lock lock(mu_);
  return picture_;
}

bool MapKeeper::DrawOnce() {
  std::vector<FleetName> fleet;
  std::shared_ptr<const FleetPicture> previous;
  {
    std::scoped_lock lock(mu_);
    fleet = fleet_;
    previous = picture_;
  }
  std::vector<FleetEntry> entries;
  for (FleetName& who : fleet) {
    const auto saved = bank_.Get(who.uid);
    entries.push_back({std::move(who), saved ? UsualOf(saved->blob) : Behaviour{}});
  }
  const auto start = std::chrono::steady_clock::now();
  auto drawn = DrawPicture(entries, previous.get(), clock_.Now());
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  if (!drawn) {
    spdlog::warn("behaviour map: {}", drawn.error().message);
    return false;
  }
  if (drawn->map.places.empty()) return false;
  if (drawn->map.refused) {
    spdlog::warn(
        "behaviour map: it would have moved by {:.0f} % of its radius while {:.0f} % of the VMs changed; it stays",
        100 * drawn->map.displacement, 100 * drawn->map.changed);
  }
  const auto picture = std::make_shared<const FleetPicture>(std::move(*drawn));
  {
    std::scoped_lock lock(mu_);
    if (fleet_.empty()) return false;  // the lead was lost meanwhile
    picture_ = picture;
  }
  on_drawn_(*picture, took);
  return true;
}

void MapKeeper::Run(std::stop_token stop) {
  bool drawn = false;
  while (true) {
    {
      std::unique_lock lock(mu_);
      wake_.wait_for(lock, stop, drawn ? options_.every : options_.first, [] { return false; });
    }
    if (stop.stop_requested()) return;
    drawn = DrawOnce();
  }
}

}  // namespace whorl::controller
