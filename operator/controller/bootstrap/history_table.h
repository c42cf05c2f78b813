#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/telemetry/features.h"

namespace whorl::controller {

// Whose series a row reads, and with it how the VM is named in them.
enum class SeriesOf : std::uint8_t {
  kVmi,        // KubeVirt's virt-handler: namespace, name
  kContainer,  // cAdvisor: namespace, pod of the launcher, container compute
};

// Where Prometheus may hold the past of one of our features.
struct HistoryRow {
  Feature feature;
  SeriesOf whose;
  Kind kind;                                // of the series: a counter is rated, a gauge averaged, over the step
  double factor;                            // from the series' unit (per second) to the feature's
  std::array<std::string_view, 3> metrics;  // added up; an empty name ends the list
  std::string_view matcher = {};            // further label matchers, as PromQL writes them
};

// Several rows of one feature stand together: the first that has data is taken.
// cAdvisor comes first where our own reading is of the same cgroup. Not here,
// because Prometheus has nothing that means the same: vCPU run time
// (kubevirt_vmi_vcpu_seconds_total changes its label `state` under way),
// refaults, VMM system calls, KVM exits. kubevirt_vmi_vcpu_wait_seconds_total
// is waiting for I/O and needs the host's schedstats; memory_unused_bytes
// leaves out what the guest could reclaim; no feature is like these.
// docs/reference/prometheus.md lists these rows; a test compares.
inline constexpr std::array<HistoryRow, 29> kHistoryRows{{
    {Feature::kCpuUsage, SeriesOf::kContainer, Kind::kCounter, 1000, {"container_cpu_usage_seconds_total"}},
    {Feature::kCpuUsage, SeriesOf::kVmi, Kind::kCounter, 1000, {"kubevirt_vmi_cpu_usage_seconds_total"}},
    {Feature::kCpuSystem, SeriesOf::kContainer, Kind::kCounter, 1000, {"container_cpu_system_seconds_total"}},
    {Feature::kCpuSystem, SeriesOf::kVmi, Kind::kCounter, 1000, {"kubevirt_vmi_cpu_system_usage_seconds_total"}},
    {Feature::kCpuThrottled, SeriesOf::kContainer, Kind::kCounter, 1000, {"container_cpu_cfs_throttled_seconds_total"}},
    {Feature::kVcpuDelay, SeriesOf::kVmi, Kind::kCounter, 1000, {"kubevirt_vmi_vcpu_delay_seconds_total"}},
    {Feature::kCpuPressure,
     SeriesOf::kContainer,
     Kind::kCounter,
     1000,
     {"container_pressure_cpu_waiting_seconds_total"}},
    {Feature::kMemoryResident, SeriesOf::kContainer, Kind::kGauge, 1, {"container_memory_usage_bytes"}},
    {Feature::kMemoryResident, SeriesOf::kContainer, Kind::kGauge, 1, {"container_memory_working_set_bytes"}},
    {Feature::kMemoryResident, SeriesOf::kVmi, Kind::kGauge, 1, {"kubevirt_vmi_memory_resident_bytes"}},
    {Feature::kMemoryMajorFaults,
     SeriesOf::kContainer,
     Kind::kCounter,
     1,
     {"container_memory_failures_total"},
     R"(failure_type="pgmajfault",scope="container")"},
    {Feature::kMemoryMinorFaults,
     SeriesOf::kContainer,
     Kind::kCounter,
     1,
     {"container_memory_failures_total"},
     R"(failure_type="pgfault",scope="container")"},
    {Feature::kMemoryPressure,
     SeriesOf::kContainer,
     Kind::kCounter,
     1000,
     {"container_pressure_memory_waiting_seconds_total"}},
    {Feature::kBalloonCurrent, SeriesOf::kVmi, Kind::kGauge, 1, {"kubevirt_vmi_memory_actual_balloon_bytes"}},
    {Feature::kGuestMemoryUsable, SeriesOf::kVmi, Kind::kGauge, 1, {"kubevirt_vmi_memory_usable_bytes"}},
    {Feature::kGuestMajorFaults, SeriesOf::kVmi, Kind::kCounter, 1, {"kubevirt_vmi_memory_pgmajfault_total"}},
    // Cumulative, although KubeVirt calls them gauges.
    {Feature::kGuestSwapping,
     SeriesOf::kVmi,
     Kind::kCounter,
     1,
     {"kubevirt_vmi_memory_swap_in_traffic_bytes", "kubevirt_vmi_memory_swap_out_traffic_bytes"}},
    {Feature::kDirtyRate, SeriesOf::kVmi, Kind::kGauge, 1, {"kubevirt_vmi_dirty_rate_bytes_per_second"}},
    {Feature::kNetReceiveBytes, SeriesOf::kVmi, Kind::kCounter, 1, {"kubevirt_vmi_network_receive_bytes_total"}},
    {Feature::kNetTransmitBytes, SeriesOf::kVmi, Kind::kCounter, 1, {"kubevirt_vmi_network_transmit_bytes_total"}},
    {Feature::kNetPackets,
     SeriesOf::kVmi,
     Kind::kCounter,
     1,
     {"kubevirt_vmi_network_receive_packets_total", "kubevirt_vmi_network_transmit_packets_total"}},
    {Feature::kNetDrops,
     SeriesOf::kVmi,
     Kind::kCounter,
     1,
     {"kubevirt_vmi_network_receive_packets_dropped_total", "kubevirt_vmi_network_transmit_packets_dropped_total"}},
    {Feature::kNetErrors,
     SeriesOf::kVmi,
     Kind::kCounter,
     1,
     {"kubevirt_vmi_network_receive_errors_total", "kubevirt_vmi_network_transmit_errors_total"}},
    {Feature::kDiskReadBytes, SeriesOf::kVmi, Kind::kCounter, 1, {"kubevirt_vmi_storage_read_traffic_bytes_total"}},
    {Feature::kDiskWriteBytes, SeriesOf::kVmi, Kind::kCounter, 1, {"kubevirt_vmi_storage_write_traffic_bytes_total"}},
    {Feature::kDiskOperations,
     SeriesOf::kVmi,
     Kind::kCounter,
     1,
     {"kubevirt_vmi_storage_iops_read_total", "kubevirt_vmi_storage_iops_write_total",
      "kubevirt_vmi_storage_flush_requests_total"}},
    {Feature::kDiskBusy,
     SeriesOf::kVmi,
     Kind::kCounter,
     1000,
     {"kubevirt_vmi_storage_read_times_seconds_total", "kubevirt_vmi_storage_write_times_seconds_total",
      "kubevirt_vmi_storage_flush_times_seconds_total"}},
    {Feature::kDiskFlushes, SeriesOf::kVmi, Kind::kCounter, 1, {"kubevirt_vmi_storage_flush_requests_total"}},
    {Feature::kIoPressure, SeriesOf::kContainer, Kind::kCounter, 1000, {"container_pressure_io_waiting_seconds_total"}},
}};

// The PromQL of a row for one VM: one series at most, whatever the names hold.
// nullopt: the VM's series cannot be told from other VMs' (a launcher pod of a
// name so long that Kubernetes cuts it, with cAdvisor), or the names are no
// names of Kubernetes'. Pure.
std::optional<std::string> QueryOf(const HistoryRow& row, std::string_view ns, std::string_view vm, Seconds step);

}  // namespace whorl::controller
