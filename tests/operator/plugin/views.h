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
                     "allocation": "900m", "borrowed": "400m-800m", "limit": "900m", "weight": 204, "credits": -4200}],
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

inline nlohmann::json Partition() {
  return nlohmann::json::parse(R"json({
    "metadata": {"name": "node-1"},
    "status": {
      "epoch": 4, "controller": "whorl-controller-abc", "houseCredits": 12,
      "resources": [{"name": "cpu", "capacity": "1200m", "entitled": "1200m", "allocated": "1200m", "lent": "340m"}],
      "virtualMachines": [
        {"namespace": "shop", "name": "db-1", "mode": "Enforce", "entitlement": "400m", "allocation": "740m",
         "credits": -4200},
        {"namespace": "shop", "name": "web-1", "mode": "Enforce", "entitlement": "400m", "allocation": "160m",
         "credits": 4000},
        {"namespace": "lab", "name": "batch-1", "mode": "Enforce", "entitlement": "400m", "allocation": "300m",
         "credits": 188},
        {"namespace": "lab", "name": "seen-1", "mode": "Observe"}],
      "openLoans": [
        {"number": 7, "resource": "cpu", "lender": "shop/web-1", "borrower": "shop/db-1", "amount": "240m",
         "reason": "Need", "message": "all who asked were served", "forecast": "900m", "lenderForecast": "40m",
         "since": "2023-11-14T22:12:20Z", "expiryTime": "2023-11-14T22:13:30Z"},
        {"number": 8, "resource": "cpu", "lender": "lab/batch-1", "borrower": "shop/db-1", "amount": "100m",
         "reason": "Credits", "forecast": "900m", "lenderForecast": "200m",
         "since": "2023-11-14T22:13:10Z", "expiryTime": "2023-11-14T22:13:30Z"}],
      "closedLoans": [
        {"number": 6, "resource": "cpu", "lender": "lab/batch-1", "borrower": "shop/web-1", "amount": "60m",
         "reason": "Need", "forecast": "500m", "lenderForecast": "20m", "since": "2023-11-14T22:00:00Z",
         "endTime": "2023-11-14T22:03:20Z", "outcome": "Recalled", "message": "the lender needed it", "moved": 12000}],
      "conditions": [{"type": "Ready", "status": "True", "reason": "Streaming", "message": "in order"}]
}})json");
}

// As /ledger.json of one controller.
inline nlohmann::json History() {
  return nlohmann::json::parse(R"json({
    "loans": [
      {"node": "node-1", "number": 6, "resource": "cpu", "lender": "lab/batch-1", "borrower": "shop/web-1",
       "amount": "60m", "reason": "Need", "since": "2023-11-14T22:00:00Z", "endTime": "2023-11-14T22:03:20Z",
       "outcome": "Recalled", "moved": 12000},
      {"node": "node-2", "number": 1, "resource": "cpu", "lender": "lab/a", "borrower": "lab/b", "amount": "20m",
       "reason": "Need", "since": "2023-11-14T21:00:00Z", "endTime": "2023-11-14T21:03:20Z", "outcome": "HandedOver"}],
    "plans": [{"node": "node-1", "time": "2023-11-14T22:03:00Z", "lentMillicores": 60}]})json");
}

}  // namespace whorl::plugin::test
