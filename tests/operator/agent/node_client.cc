// Speaks to an agent as the controller would, for tests and for checks by hand.
// Requests and replies are JSON; requests come on stdin.
//   agent_client ADDRESS TLS_DIR NODE describe
//   agent_client ADDRESS TLS_DIR NODE enrol < request.json
//   agent_client ADDRESS TLS_DIR NODE apply < plan.json        one plan per line, one receipt per line
//   agent_client ADDRESS TLS_DIR NODE frames EPOCH COUNT       one frame per line
//   agent_client ADDRESS TLS_DIR NODE watch EPOCH COUNT POD... enrols, prints rates for people
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/credentials.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "core/telemetry/features.h"
#include "operator/api/node.grpc.pb.h"

namespace {

namespace api = whorl::node::v1;
namespace json = google::protobuf::util;

std::string Slurp(std::istream&& in) {
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

int Fail(const grpc::Status& status) {
  std::cerr << "code " << status.error_code() << ": " << status.error_message() << "\n";
  return 1;
}

template <typename Message>
bool FromJson(const std::string& text, Message& message) {
  const auto status = json::JsonStringToMessage(text, &message);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok();
}

template <typename Message>
void PrintJson(const Message& message) {
  std::string text;
  json::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  static_cast<void>(json::MessageToJsonString(message, &text, options));
  std::cout << text << std::endl;
}

// The last valid reading of each counter of one VM.
struct Last {
  std::array<double, whorl::kFeatureCount> raw{};
  std::array<std::int64_t, whorl::kFeatureCount> at{};
};

void PrintRates(const api::VmSample& vm, Last& last) {
  std::printf("  %s valid %010llx shares %u%s\n", vm.pod_uid().c_str(),
              static_cast<unsigned long long>(vm.valid_features()), vm.cpu_shares(),
              vm.has_foreign() ? " FOREIGN WRITER" : "");
  for (std::size_t i = 0; i < static_cast<std::size_t>(vm.raw_size()); ++i) {
    if (((vm.valid_features() >> i) & 1u) == 0) continue;
    const auto& info = whorl::kFeatures[i];
    const double raw = vm.raw(static_cast<int>(i));
    if (info.kind == whorl::Kind::kGauge) {
      std::printf("    %-24s %.0f %s\n", info.name.data(), raw, info.unit.data());
    } else if (last.at[i] != 0) {
      const double seconds = static_cast<double>(vm.sampled_unix_millis() - last.at[i]) / 1000.0;
      const bool time = info.unit == "millicores" || info.unit == "ms/s";
      std::printf("    %-24s %.1f %s\n", info.name.data(), (raw - last.raw[i]) / seconds / (time ? 1000.0 : 1.0),
                  info.unit.data());
    }
    last.raw[i] = raw;
    last.at[i] = vm.sampled_unix_millis();
  }
}

int Stream(api::Node::Stub& node, std::uint64_t epoch, int count, bool rates) {
  grpc::ClientContext context;
  api::FramesRequest request;
  request.set_epoch(epoch);
  const auto stream = node.Frames(&context, request);
  api::Frame frame;
  std::map<std::string, Last> last;
  int seen = 0;
  for (; seen < count && stream->Read(&frame); ++seen) {
    if (!rates) {
      PrintJson(frame);
      continue;
    }
    std::printf("frame %llu: other %lld millicores, agent %.3f s cpu, %.1f MiB, pass %u us\n",
                static_cast<unsigned long long>(frame.sequence()), static_cast<long long>(frame.other_cpu_millicores()),
                static_cast<double>(frame.cost().cpu_micros()) / 1e6,
                static_cast<double>(frame.cost().rss_bytes()) / 1048576.0, frame.cost().sample_micros());
    for (const auto& vm : frame.vms()) PrintRates(vm, last[vm.pod_uid()]);
    std::fflush(stdout);
  }
  context.TryCancel();
  if (seen == count) return 0;
  return Fail(stream->Finish());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "agent_client ADDRESS TLS_DIR NODE describe|enrol|apply|frames|watch ...\n";
    return 2;
  }
  const std::string dir = argv[2];
  const std::string command = argv[4];
  grpc::SslCredentialsOptions security;
  security.pem_root_certs = Slurp(std::ifstream(dir + "/ca.crt"));
  security.pem_private_key = Slurp(std::ifstream(dir + "/tls.key"));
  security.pem_cert_chain = Slurp(std::ifstream(dir + "/tls.crt"));
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("agent." + std::string(argv[3]) + ".whorl");
  const auto node = api::Node::NewStub(grpc::CreateCustomChannel(argv[1], grpc::SslCredentials(security), arguments));

  if (command == "describe") {
    grpc::ClientContext context;
    api::NodeDescription reply;
    if (auto status = node->Describe(&context, {}, &reply); !status.ok()) return Fail(status);
    PrintJson(reply);
    return 0;
  }
  if (command == "enrol" || (command == "watch" && argc >= 7)) {
    api::EnrolRequest request;
    if (command == "enrol") {
      std::stringstream text;
      text << std::cin.rdbuf();
      if (!FromJson(text.str(), request)) return 2;
    } else {
      request.set_epoch(std::strtoull(argv[5], nullptr, 10));
      for (int i = 7; i < argc; ++i) {
        auto& pod = *request.add_pods();
        pod.set_pod_uid(argv[i]);
        pod.set_mode(api::MODE_OBSERVE);
      }
    }
    grpc::ClientContext context;
    api::EnrolReply reply;
    if (auto status = node->Enrol(&context, request, &reply); !status.ok()) return Fail(status);
    PrintJson(reply);
    return command == "enrol" ? 0 : Stream(*node, request.epoch(), std::atoi(argv[6]), true);
  }
  if (command == "frames" && argc == 7) {
    return Stream(*node, std::strtoull(argv[5], nullptr, 10), std::atoi(argv[6]), false);
  }
  if (command == "apply") {
    for (std::string line; std::getline(std::cin, line);) {
      api::Plan plan;
      if (!FromJson(line, plan)) return 2;
      grpc::ClientContext context;
      api::Receipt receipt;
      if (auto status = node->Apply(&context, plan, &receipt); !status.ok()) return Fail(status);
      PrintJson(receipt);
    }
    return 0;
  }
  std::cerr << "unknown command " << command << "\n";
  return 2;
}
