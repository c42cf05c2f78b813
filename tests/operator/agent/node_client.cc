// Speaks to an agent as the controller would, for tests by hand:
//   agent_client ADDRESS TLS_DIR NODE describe
//   agent_client ADDRESS TLS_DIR NODE watch EPOCH SECONDS POD...
//   agent_client ADDRESS TLS_DIR NODE hold EPOCH SEQUENCE LEASE_MS CAPACITY POD=MILLICORES...
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/credentials.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/telemetry/features.h"
#include "operator/api/node.grpc.pb.h"

namespace {

namespace api = whorl::node::v1;

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

int Fail(const grpc::Status& status) {
  std::cerr << "code " << status.error_code() << ": " << status.error_message() << "\n";
  return 1;
}

void Print(const api::VmSample& vm, const api::VmSample* before) {
  std::printf("  %.8s valid %06x shares %u%s\n", vm.pod_uid().c_str(), vm.valid(), vm.cpu_shares(),
              vm.has_foreign() ? " FOREIGN" : "");
  for (int i = 0; i < vm.raw_size(); ++i) {
    const auto& info = whorl::kFeatures[static_cast<std::size_t>(i)];
    const bool valid = (vm.valid() >> i) & 1u;
    if (!valid) continue;
    if (info.kind == whorl::Kind::kGauge) {
      std::printf("    %-24s %.0f %s\n", info.name.data(), vm.raw(i), info.unit.data());
    } else if (before != nullptr && ((before->valid() >> i) & 1u)) {
      const double seconds = static_cast<double>(vm.sampled_unix_millis() - before->sampled_unix_millis()) / 1000.0;
      double rate = (vm.raw(i) - before->raw(i)) / seconds;
      if (info.unit == "millicores" || info.unit == "ms/s") rate /= 1000.0;
      std::printf("    %-24s %.1f %s\n", info.name.data(), rate, info.unit.data());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "agent_client ADDRESS TLS_DIR NODE describe|watch|hold ...\n";
    return 2;
  }
  const std::string dir = argv[2];
  const std::string command = argv[4];
  grpc::SslCredentialsOptions security;
  security.pem_root_certs = Slurp(dir + "/ca.crt");
  security.pem_private_key = Slurp(dir + "/tls.key");
  security.pem_cert_chain = Slurp(dir + "/tls.crt");
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("agent." + std::string(argv[3]) + ".whorl");
  const auto node = api::Node::NewStub(grpc::CreateCustomChannel(argv[1], grpc::SslCredentials(security), arguments));

  if (command == "describe") {
    grpc::ClientContext context;
    api::NodeDescription reply;
    if (auto status = node->Describe(&context, {}, &reply); !status.ok()) return Fail(status);
    std::cout << reply.DebugString();
    return 0;
  }
  if (command == "watch" || command == "hold") {
    const auto epoch = std::strtoull(argv[5], nullptr, 10);
    api::EnrolRequest enrol;
    enrol.set_epoch(epoch);
    for (int i = command == "watch" ? 7 : 9; i < argc; ++i) {
      auto& pod = *enrol.add_pods();
      const std::string text = argv[i];
      pod.set_pod_uid(text.substr(0, text.find('=')));
      pod.set_mode(command == "watch" ? api::MODE_OBSERVE : api::MODE_ENFORCE);
    }
    grpc::ClientContext context;
    api::EnrolReply reply;
    if (auto status = node->Enrol(&context, enrol, &reply); !status.ok()) return Fail(status);
    std::cout << reply.DebugString();
    if (command == "hold") {
      api::Plan plan;
      plan.set_epoch(epoch);
      plan.set_sequence(std::strtoull(argv[6], nullptr, 10));
      plan.set_lease_millis(static_cast<std::uint32_t>(std::atoi(argv[7])));
      plan.set_capacity_millicores(std::atoi(argv[8]));
      for (int i = 9; i < argc; ++i) {
        const std::string text = argv[i];
        auto& directive = *plan.add_directives();
        directive.set_pod_uid(text.substr(0, text.find('=')));
        const auto millicores = std::atoi(text.substr(text.find('=') + 1).c_str());
        directive.set_allocation_millicores(millicores);
        directive.set_quota_millicores(millicores);
        directive.set_shares(static_cast<std::uint32_t>(millicores * 1024 / 1000));
      }
      grpc::ClientContext apply;
      api::Receipt receipt;
      if (auto status = node->Apply(&apply, plan, &receipt); !status.ok()) return Fail(status);
      std::cout << receipt.DebugString();
      return 0;
    }
    grpc::ClientContext stream_context;
    api::FramesRequest request;
    request.set_epoch(epoch);
    const auto stream = node->Frames(&stream_context, request);
    api::Frame frame;
    api::Frame before;
    std::map<std::string, api::VmSample> last;
    const int seconds = std::atoi(argv[6]);
    for (int n = 0; n < seconds && stream->Read(&frame); ++n) {
      std::printf("frame %llu: other %lld, cost %.3f s cpu, %.1f MiB, pass %u us, recalls %d expiries %d\n",
                  static_cast<unsigned long long>(frame.sequence()),
                  static_cast<long long>(frame.other_cpu_millicores()),
                  static_cast<double>(frame.cost().cpu_micros()) / 1e6,
                  static_cast<double>(frame.cost().rss_bytes()) / 1048576.0, frame.cost().sample_micros(),
                  frame.recalls_size(), frame.expiries_size());
      for (const auto& recall : frame.recalls()) std::cout << recall.ShortDebugString() << "\n";
      for (const auto& expiry : frame.expiries()) std::cout << expiry.ShortDebugString() << "\n";
      for (const auto& vm : frame.vms()) {
        const auto known = last.find(vm.pod_uid());
        Print(vm, known == last.end() ? nullptr : &known->second);
        // Each feature against its own last valid reading, as the engine does.
        auto& keep = last[vm.pod_uid()];
        if (keep.raw_size() == 0) keep = vm;
        if (n % 5 == 4) keep = vm;
      }
      std::fflush(stdout);
    }
    stream_context.TryCancel();
    return 0;
  }
  return 2;
}
