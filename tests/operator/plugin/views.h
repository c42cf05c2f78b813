#pragma once

#include <nlohmann/json.hpp>

// Fingerprints as the API server has them, for tests of what is made of them.
namespace whorl::plugin::test {

inline nlohmann::json Deviating() {
  return nlohmann::json::parse(R"json({
    "metadata": {"name": "db-1", "namespace": "shop"},
    "status": {
      "state": "Deviating", "score": 83, "threshold": 62, "mode": "Enforce", "node": "node-1", "policy": "default",
      "nature": "Runaway", "rarity": "1 in 95,000", "regime": 1, "cohort": "databases", "guestTelemetry": "Fresh",
      "summary": "Deviating: cpu usage 950 millicores (usually 40)", "lastSampleTime": "2026-01-02T03:04:00Z",
      "baseline": {"percent": 100, "samples": 5000, "neededSamples": 200, "elapsedSeconds": 5000, "neededSeconds": 3600},
      "contributingFeatures": [
        {"name": "cpu.usage", "direction": "Above", "current": "950 millicores", "usual": "40 millicores", "sigmas": 14,
         "sharePercent": 71},
        {"name": "disk.write", "direction": "Below", "current": "0 bytes/s", "usual": "2.0 MiB/s", "sigmas": 4,
         "sharePercent": 9}],
      "episode": {"number": 3, "openedTime": "2026-01-02T03:00:00Z", "peakScore": 88},
      "resources": [{"name": "cpu", "demand": "950m", "predicted": "970m", "base": "100m", "entitlement": "400m",
                     "allocation": "900m", "borrowed": "400m-800m", "limit": "900m", "weight": 204}],
      "borrowed": [{"resource": "cpu", "amount": "400m-800m", "since": "2026-01-02T03:01:00Z",
                    "renewedUntil": "2026-01-02T03:04:30Z"}],
      "lastAction": {"reason": "LimitRaised", "resource": "cpu", "from": "400m", "to": "900m",
                     "time": "2026-01-02T03:01:00Z", "until": "2026-01-02T03:04:30Z",
                     "message": "it uses 950m and its neighbours do not need theirs"},
      "conditions": [
        {"type": "ModeCapped", "status": "False", "reason": "AsRequested", "message": "the VM gets what was asked"},
        {"type": "Ready", "status": "True", "reason": "Watched", "message": "the VM is seen"}]
}
})json");
}

inline nlohmann::json Learning() {
  return nlohmann::json::parse(R"json({
    "metadata": {"name": "web-1", "namespace": "shop"},
    "status": {"state": "Learning", "mode": "Observe", "node": "node-2", "policy": "default",
      "baseline": {"percent": 40, "samples": 80, "neededSamples": 200, "elapsedSeconds": 1500, "neededSeconds": 3600,
                   "missing": "120 more samples and 35 more minutes"},
      "resources": [{"name": "cpu", "demand": "40m", "predicted": "60m", "limit": "none"}]}})json");
}

inline nlohmann::json Blind() {
  return nlohmann::json::parse(R"json({
    "metadata": {"name": "batch-1", "namespace": "lab"},
    "status": {"state": "Blind", "mode": "Observe", "node": "node-3", "policy": "default",
      "conditions": [{"type": "Ready", "status": "False", "reason": "NoFreshSamples", "message": "no sample for 9 s"},
                     {"type": "ModeCapped", "status": "True", "reason": "PolicyMaxMode",
                      "message": "asked for enforce, gets observe; PartitionPolicy default allows no more"}]}})json");
}

}  // namespace whorl::plugin::test
