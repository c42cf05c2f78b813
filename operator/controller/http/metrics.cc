// The only file of the controller that knows prometheus-cpp's metrics.
#include "operator/controller/http/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <mutex>
#include <vector>

namespace whorl::controller {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

const prometheus::Histogram::BucketBoundaries kEngineBuckets{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005,
                                                             0.001,   0.0025,   0.005,   0.01,   0.05,    0.25};
const prometheus::Histogram::BucketBoundaries kPlanBuckets{0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075,
                                                           0.01,   0.025, 0.05,  0.1,   0.5,   1};
const prometheus::Histogram::BucketBoundaries kLimitBuckets{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                            0.5,   0.8,    1,     1.2,  1.5,   2,    5};

constexpr State kStates[] = {State::kLearning, State::kNormal, State::kDeviating, State::kBlind, State::kPaused};

double Cores(MilliCores cpu) { return static_cast<double>(Count(cpu)) / 1000.0; }
double SecondsOf(std::chrono::microseconds us) { return std::chrono::duration<double>(us).count(); }

MetricFamily Gauge(const char* name, const char* help) { return MetricFamily{name, help, MetricType::Gauge, {}}; }

void Add(MetricFamily& family, Labels labels, double value) {
  auto& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.gauge.value = value;
}

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Histogram>& tick =
      BuildHistogram().Name("whorl_tick_seconds").Help("Time the engine took for one node's tick.").Register(registry);
  prometheus::Family<prometheus::Histogram>& plan_seconds =
      BuildHistogram()
          .Name("whorl_plan_seconds")
          .Help("From a frame in hand to the receipt of its plan in hand: computing, sending, writing, reading back.")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& sample_to_limit =
      BuildHistogram()
          .Name("whorl_sample_to_limit_seconds")
          .Help("From the kernel sample to the limit made from it in force, by the node's clock.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& plans =
      BuildCounter().Name("whorl_plans_total").Help("Plans sent, by what the agent made of them.").Register(registry);
  prometheus::Family<prometheus::Counter>& recalls = BuildCounter()
                                                         .Name("whorl_recalls_total")
                                                         .Help("Loans an agent took back by the plan's own rule.")
                                                         .Register(registry);
  prometheus::Family<prometheus::Counter>& requests = BuildCounter()
                                                          .Name("whorl_api_requests_total")
                                                          .Help("Requests to the API server; code 0: no answer.")
                                                          .Register(registry);
  prometheus::Family<prometheus::Counter>& events =
      BuildCounter()
          .Name("whorl_events_total")
          .Help("Events recorded, before folding into series and rate limits.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& resizes = BuildCounter()
                                                         .Name("whorl_resizes_total")
                                                         .Help("Changes of a VM's sockets or guest memory, by outcome.")
                                                         .Register(registry);
  prometheus::Family<prometheus::Counter>& writes =
      BuildCounter().Name("whorl_status_writes_total").Help("Writes of annotations and statuses.").Register(registry);
  prometheus::Family<prometheus::Gauge>& leader =
      BuildGauge().Name("whorl_leader").Help("1 on the replica that leads.").Register(registry);
  prometheus::Family<prometheus::Gauge>& epoch =
      BuildGauge()
          .Name("whorl_epoch")
          .Help("Epoch the plans of this replica carry; 0 while it does not lead.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& enrolled =
      BuildGauge().Name("whorl_enrolled_vms").Help("VMs that are opted in and run.").Register(registry);
  prometheus::Family<prometheus::Gauge>& map_vms =
      BuildGauge().Name("whorl_map_vms").Help("VMs on the behaviour map.").Register(registry);
  prometheus::Family<prometheus::Gauge>& map_cohorts =
      BuildGauge().Name("whorl_map_cohorts").Help("Cohorts of VMs that behave alike.").Register(registry);
  prometheus::Family<prometheus::Gauge>& map_displacement =
      BuildGauge()
          .Name("whorl_map_displacement")
          .Help("How far VMs whose behaviour did not change moved with the last map, in radii of the map.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& map_seconds =
      BuildGauge().Name("whorl_map_seconds").Help("Time the last behaviour map took to draw.").Register(registry);
  prometheus::Family<prometheus::Counter>& maps =
      BuildCounter()
          .Name("whorl_maps_total")
          .Help("Behaviour maps drawn; refused: it would have moved without a cause.")
          .Register(registry);

  mutable std::mutex mu;
  std::map<std::string, NodeReport> nodes;                         // under mu
  std::optional<std::chrono::steady_clock::time_point> map_drawn;  // under mu
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
  impl_->leader.Add({}).Set(0);
  impl_->epoch.Add({}).Set(0);
  impl_->enrolled.Add({}).Set(0);
}
Metrics::~Metrics() = default;

void Metrics::OnReport(const NodeReport& report) {
  std::scoped_lock lock(impl_->mu);
  impl_->nodes[report.node] = report;
}
void Metrics::ForgetNode(const std::string& node) {
  std::scoped_lock lock(impl_->mu);
  impl_->nodes.erase(node);
}
void Metrics::OnTick(const std::string& node, std::chrono::microseconds engine) {
  impl_->tick.Add({{"node", node}}, kEngineBuckets).Observe(SecondsOf(engine));
}
void Metrics::OnPlan(const std::string& node, std::string_view result, const std::optional<TickTimes>& times) {
  impl_->plans.Add({{"node", node}, {"result", std::string(result)}}).Increment();
  if (!times) return;
  impl_->plan_seconds.Add({{"node", node}}, kPlanBuckets).Observe(SecondsOf(times->compute_and_io));
  impl_->sample_to_limit.Add({{"node", node}}, kLimitBuckets).Observe(SecondsOf(times->sample_to_limit));
}
void Metrics::OnRecall(const std::string& node) { impl_->recalls.Add({{"node", node}}).Increment(); }
void Metrics::OnApiRequest(std::string_view verb, int status) {
  impl_->requests.Add({{"verb", std::string(verb)}, {"code", std::to_string(status)}}).Increment();
}
void Metrics::OnEvent(std::string_view reason) { impl_->events.Add({{"reason", std::string(reason)}}).Increment(); }
void Metrics::OnResize(std::string_view outcome) {
  impl_->resizes.Add({{"outcome", std::string(outcome)}}).Increment();
}
void Metrics::OnStatusWrite(std::string_view kind, bool ok) {
  impl_->writes.Add({{"kind", std::string(kind)}, {"result", ok ? "ok" : "error"}}).Increment();
}
void Metrics::SetLeader(bool leader, std::uint64_t epoch) {
  impl_->leader.Add({}).Set(leader ? 1 : 0);
  impl_->epoch.Add({}).Set(static_cast<double>(epoch));
}
void Metrics::SetEnrolled(std::size_t vms) { impl_->enrolled.Add({}).Set(static_cast<double>(vms)); }
void Metrics::OnMap(const FleetPicture& picture, std::chrono::microseconds took) {
  impl_->map_vms.Add({}).Set(static_cast<double>(picture.map.places.size()));
  impl_->map_cohorts.Add({}).Set(static_cast<double>(picture.cohorts.models.size()));
  impl_->map_displacement.Add({}).Set(static_cast<double>(picture.map.displacement));
  impl_->map_seconds.Add({}).Set(SecondsOf(took));
  impl_->maps.Add({{"result", picture.map.refused ? "refused" : "drawn"}}).Increment();
  std::scoped_lock lock(impl_->mu);
  impl_->map_drawn = std::chrono::steady_clock::now();
}

std::string Metrics::Render() const {
  auto score =
      Gauge("whorl_vm_score", "How much the VM behaves unlike itself, 0 to 100; absent while Learning or Blind.");
  auto state = Gauge("whorl_vm_state", "1 for the state the VM is in, 0 for the others.");
  auto learned = Gauge("whorl_vm_learned_ratio", "How far learning what is usual has come.");
  auto demand = Gauge("whorl_vm_cpu_demand_cores", "CPU used in the last second.");
  auto predicted = Gauge("whorl_vm_cpu_predicted_cores", "CPU the VM is predicted to need.");
  auto allocation =
      Gauge("whorl_vm_cpu_allocation_cores", "CPU allocated in mode enforce: entitlement, less lent, plus borrowed.");
  auto lent = Gauge("whorl_vm_cpu_lent_cores", "CPU lent to neighbours.");
  auto borrowed = Gauge("whorl_vm_cpu_borrowed_cores", "CPU borrowed from neighbours.");
  auto capacity = Gauge("whorl_node_cpu_capacity_cores", "CPU of the node that may be partitioned.");
  auto loans = Gauge("whorl_loans_open", "Loans that hold now.");
  auto connected = Gauge("whorl_agent_connected", "1 while the node's agent sends frames.");
  auto map_age = Gauge("whorl_map_age_seconds", "Time since the behaviour map was drawn; absent before the first one.");
  {
    std::scoped_lock lock(impl_->mu);
    if (impl_->map_drawn) {
      Add(map_age, {}, std::chrono::duration<double>(std::chrono::steady_clock::now() - *impl_->map_drawn).count());
    }
    for (const auto& [name, node] : impl_->nodes) {
      const Labels node_label{{"node", name}};
      Add(connected, node_label, node.connected ? 1 : 0);
      Add(loans, node_label, static_cast<double>(node.loans.size()));
      if (node.capacity) Add(capacity, node_label, Cores(*node.capacity));
      for (const auto& vm : node.vms) {
        const auto& subject = vm.resolution.subject;
        const Labels labels{{"namespace", subject.ns}, {"name", subject.name}, {"node", name}};
        const auto& a = vm.assessment;
        if (a.score && a.state != State::kLearning && a.state != State::kBlind) Add(score, labels, *a.score);
        for (const State s : kStates) {
          auto with_state = labels;
          with_state.push_back({"state", std::string(StateName(s))});
          Add(state, std::move(with_state), a.state == s ? 1 : 0);
        }
        Add(learned, labels, a.learning.percent / 100.0);
        if (a.state == State::kBlind) continue;
        if (a.cpu_now) Add(demand, labels, Cores(*a.cpu_now));
        if (a.cpu_predicted) Add(predicted, labels, Cores(*a.cpu_predicted));
        if (vm.resolution.mode.mode != Mode::kEnforce) continue;
        Add(allocation, labels, Cores(a.cpu_allocation));
        Add(lent, labels, Cores(vm.lent.amount));
        Add(borrowed, labels, Cores(vm.borrowed.amount));
      }
    }
  }
  auto families = impl_->registry.Collect();
  for (auto* family : {&score, &state, &learned, &demand, &predicted, &allocation, &lent, &borrowed, &capacity, &loans,
                       &connected, &map_age}) {
    if (!family->metric.empty()) families.push_back(std::move(*family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace whorl::controller
