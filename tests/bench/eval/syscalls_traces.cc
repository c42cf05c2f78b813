#include "tests/bench/eval/syscalls_traces.h"

#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace whorl::eval {
namespace {

std::optional<TraceSet> SetOf(std::string_view name) {
  if (name == "train_normal" || name == "training" || name == "validation") return TraceSet::kTrain;
  if (name == "valid_normal" || name == "test_normal") return TraceSet::kTestNormal;
  if (name == "attack" || name == "test_attack") return TraceSet::kTestAttack;
  return std::nullopt;
}

Error AtLine(const Table& table, const std::string& message) {
  return Error{Code::kInvalid, "line " + std::to_string(table.line()) + ": " + message};
}

Error UnknownSet(const Table& table, std::string_view name) {
  return AtLine(table, "set '" + std::string(name.substr(0, 40)) + "' is none of train_normal, valid_normal, attack");
}

// Nothing when one word is not a call number.
std::optional<std::vector<std::uint32_t>> Numbers(std::string_view text) {
  std::vector<std::uint32_t> calls;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (*at == ' ' || *at == '\t') {
      ++at;
      continue;
    }
    std::uint32_t call = 0;
    const auto [next, error] = std::from_chars(at, end, call);
    const bool whole = next == end || *next == ' ' || *next == '\t';
    if (error != std::errc{} || !whole || call > 0x7fffffffu) return std::nullopt;
    calls.push_back(call);
    at = next;
  }
  return calls;
}

// FNV-1a, the same in every run; bit 31 stays clear like a number's.
std::uint32_t NumberOfName(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash & 0x7fffffffu;
}

Result<CallTraces> ReadRows(Table& table) {
  const auto trace = table.Require("trace"), set = table.Require("set"), family = table.Require("family"),
             calls = table.Require("calls");
  for (const auto* column : {&trace, &set, &family, &calls}) {
    if (!*column) return Fail(column->error());
  }
  const auto length = table.Column("len");
  CallTraces all;
  while (table.Next()) {
    const auto which = SetOf(table.Cell(*set));
    if (!which) return Fail(UnknownSet(table, table.Cell(*set)));
    auto numbers = Numbers(table.Cell(*calls));
    if (!numbers || numbers->empty()) {
      ++all.rows_dropped;
      continue;
    }
    if (length && Integer(table.Cell(*length)) != static_cast<std::int64_t>(numbers->size())) ++all.len_mismatches;
    CallTrace one;
    one.name = table.Cell(*trace);
    one.family = table.Cell(*family);
    one.set = *which;
    one.threads.push_back(std::move(*numbers));
    all.traces.push_back(std::move(one));
  }
  return all;
}

Result<CallTraces> ReadEvents(Table& table) {
  const auto recording = table.Require("recording"), split = table.Require("split"), dir = table.Require("dir"),
             syscall = table.Require("syscall"), tid = table.Require("tid");
  for (const auto* column : {&recording, &split, &dir, &syscall, &tid}) {
    if (!*column) return Fail(column->error());
  }
  CallTraces all;
  std::map<std::string, std::size_t, std::less<>> index;
  std::map<std::pair<std::size_t, std::int64_t>, std::size_t> thread;
  while (table.Next()) {
    if (table.Cell(*dir) != "entry") continue;
    const auto number = Integer(table.Cell(*tid));
    if (!number || table.Cell(*syscall).empty()) {
      ++all.rows_dropped;
      continue;
    }
    const std::string_view name = table.Cell(*recording);
    auto found = index.find(name);
    if (found == index.end()) {
      const auto which = SetOf(table.Cell(*split));
      if (!which) return Fail(UnknownSet(table, table.Cell(*split)));
      found = index.emplace(std::string(name), all.traces.size()).first;
      CallTrace one;
      one.name = name;
      one.family = "recording";
      one.set = *which;
      all.traces.push_back(std::move(one));
    }
    auto& threads = all.traces[found->second].threads;
    const auto [place, fresh] = thread.try_emplace({found->second, *number}, threads.size());
    if (fresh) threads.emplace_back();
    threads[place->second].push_back(NumberOfName(table.Cell(*syscall)));
  }
  return all;
}

}  // namespace

Result<CallTraces> ReadCallTraces(Table table) {
  auto all = table.Column("recording") ? ReadEvents(table) : ReadRows(table);
  if (all && all->traces.empty()) return Fail(Code::kInvalid, "no trace with a readable call");
  return all;
}

}  // namespace whorl::eval
