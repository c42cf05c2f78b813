#include "operator/plugin/apply.h"

#include <fmt/format.h>

#include <charconv>

namespace whorl::plugin {
namespace {

const crd::ResizeView* Find(const crd::ResizeStatus& status, std::string_view name) {
  for (const auto& view : status.recommendation) {
    if (view.name == name) return &view;
  }
  return nullptr;
}

// The part of the recommendation that differs from what the VM has.
std::optional<std::string> Recommended(const crd::ResizeView* view) {
  if (view == nullptr || view->target.empty() || view->target == view->current) return std::nullopt;
  return view->target;
}

std::string Line(std::string_view name, const crd::ResizeView* view, const std::string& to, bool recommended) {
  const std::string from = view == nullptr || view->current.empty() ? "?" : view->current;
  std::string out = fmt::format("  {:<8} {} -> {}", name, from, to);
  if (recommended && view != nullptr) out += fmt::format("  ({})", view->why);
  return out + "\n";
}

}  // namespace

Result<Resizing> PlanResize(const std::string& vm, const crd::ResizeStatus& status, const SizeWish& wish) {
  if (status.mode.empty()) {
    return Fail(Code::kRefused,
                fmt::format("the controller has said nothing about the size of {} yet; it is older than "
                            "this program, or has just started",
                            vm));
  }
  if (status.mode == "Off") {
    return Fail(Code::kRefused,
                fmt::format("hotplug.mode of the policy of {} is Off; its administrator may set Recommend", vm));
  }
  if (status.change && !status.change->ended) {
    return Fail(Code::kRefused, fmt::format("{} is being resized already, from {} to {}: {}", vm, status.change->from,
                                            status.change->to, status.change->message));
  }
  Resizing out;
  const auto* sockets = Find(status, "sockets");
  const auto* memory = Find(status, "memory");
  const bool own = wish.sockets || wish.memory;
  std::string text;
  if (const auto to = own ? std::nullopt : Recommended(sockets)) text = "sockets=" + *to;
  if (wish.sockets) text = fmt::format("sockets={}", *wish.sockets);
  const auto to_memory = own ? wish.memory : Recommended(memory);
  if (to_memory) text += fmt::format("{}memory={}", text.empty() ? "" : ",", *to_memory);
  if (text.empty()) {
    std::string why;
    for (const auto* view : {sockets, memory}) {
      if (view != nullptr) why += fmt::format("\n  {:<8} {}", view->name, view->why);
    }
    return Fail(Code::kRefused, fmt::format("no other size is recommended for {}{}", vm, why));
  }
  auto request = crd::ParseResizeRequest(text);
  if (!request) return Fail(request.error());
  out.request = *request;
  const auto* possible = crd::FindCondition(status.conditions, crd::kPossible);
  const bool stands_against = possible != nullptr && possible->status == crd::ConditionStatus::kFalse;
  // What stands against the recommendation need not stand against another wish: the controller judges that.
  if (stands_against && !own) return Fail(Code::kRefused, fmt::format("{}: {}", possible->reason, possible->message));
  out.consequence = fmt::format("{} will be resized:\n", vm);
  if (request->sockets) out.consequence += Line("sockets", sockets, std::to_string(*request->sockets), !own);
  if (request->memory) out.consequence += Line("memory", memory, *request->memory, !own);
  out.consequence += fmt::format(
      "It takes 1 live migration to another node; {} of the last 24 hours count, KubeVirt alerts at 12.\n"
      "Sockets cannot be taken back without a restart.\n",
      status.migrations.size());
  if (stands_against) {
    out.consequence += fmt::format("Now against the recommended size, and maybe this one: {}\n", possible->message);
  }
  return out;
}

}  // namespace whorl::plugin
