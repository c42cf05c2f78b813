"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const YEAR = 365 * 864e5, MOST_SHOWN = 24;

// UTC; of traces that count from their own beginning, days since then.
function when(ms) {
  const day = Math.floor(ms / 864e5), clock = new Date(ms).toISOString().slice(11, 16);
  return ms < YEAR ? `day ${day + 1} ${clock}` : new Date(ms).toISOString().slice(0, 10) + " " + clock;
}
function lasting(ms) {
  if (ms < 120e3) return Math.round(ms / 1e3) + " s";
  if (ms < 7200e3) return Math.round(ms / 6e4) + " min";
  return ms < 1728e5 ? (ms / 36e5).toFixed(1) + " h" : (ms / 864e5).toFixed(1) + " days";
}
function percent(part) {
  const p = 100 * part;
  return p === 0 ? "0 %" : p < 0.01 ? "< 0.01 %" : p.toFixed(p < 10 ? 2 : 0) + " %";
}
const work = (h) => (h < 0.1 ? (h * 3600).toFixed(1) + " core-s" : h.toFixed(2) + " core-h");
const cores = (n) => n.toFixed(Math.abs(n) < 10 ? 2 : 1);

// Whatever came from outside becomes text, never markup.
function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}
function table(heads, rows, textColumns) {
  const out = make("table"), head = out.createTHead().insertRow();
  heads.forEach((h, i) => head.append(make("th", h, i < textColumns ? "text" : "")));
  const body = out.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((cell, i) => line.append(make("td", cell, i < textColumns ? "text" : "")));
  }
  const wide = make("div", undefined, "wide");
  wide.append(out);
  return wide;
}
// A table of the first rows and a button for all of them.
function listing(parent, heads, rows, textColumns, first) {
  const draw = (n) => {
    parent.replaceChildren(table(heads, rows.slice(0, n), textColumns));
    if (n >= rows.length) return;
    const more = make("button", `Show all ${rows.length}`);
    more.type = "button";
    more.onclick = () => draw(rows.length);
    parent.append(more);
  };
  draw(first);
}

const charts = [];
function draw(canvas, config) {
  const chart = new Chart(canvas, config());
  charts.push({chart, canvas, config});
  return chart;
}
function drop(inside) {
  for (let i = charts.length; i-- > 0;) {
    if (!inside(charts[i].canvas)) continue;
    charts[i].chart.destroy();
    charts.splice(i, 1);
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const one of charts) {
    one.chart.destroy();
    one.chart = new Chart(one.canvas, one.config());
  }
});
Chart.defaults.animation = false;
Chart.defaults.font.family = "system-ui, sans-serif";

const axis = (title) => ({
  title: {display: Boolean(title), text: title, color: colour("soft")},
  grid: {color: colour("line")},
  ticks: {color: colour("soft"), maxRotation: 0, autoSkipPadding: 18},
});
const timeAxis = () => {
  const x = axis("");
  x.type = "linear";
  x.ticks.callback = (ms) => when(ms);
  x.ticks.maxTicksLimit = 7;
  x.bounds = "data";
  return x;
};

// ---- the trade-off ----------------------------------------------------------

const LOOK = {
  whorl_hard: ["whorl", 3, []], vpa_p95: ["vpa", 2, []], vpa_p90: ["vpa", 1.5, [5, 4]], static_requests: ["requests", 1.5, []],
  last_hour_max: ["last", 1.5, []], ewma_2sigma: ["ewma", 1.5, []], work_conserving: ["shares", 1.5, [2, 3]],
  clairvoyant_hourly: ["known", 1.5, [5, 4]], clairvoyant: ["known", 1.5, [2, 3]],
};
const vpa = report.strategies.find((s) => s.id === "vpa_p95").reserving;

function tradeoff() {
  const FLOOR = 0.0001;  // a logarithm has no zero
  const point = (p) => ({x: vpa.heldCores - p.heldCores, y: 100 * Math.max(p.unmetShare, FLOOR), p});
  let policies = 0;
  const datasets = report.strategies.filter((s) => s.curve.length > 1).map((s) => {
    const [name, width, dash] = LOOK[s.id];
    const second = s.id === "whorl_hard" && policies++ > 0;
    const c = colour(second ? "other" : name);
    const data = s.curve.map(point).concat(s.reserving ? [{...point(s.reserving), usual: true}] : []);
    data.sort((a, b) => a.x - b.x || a.y - b.y);
    return {
      label: s.label, data, knob: s.knob, showLine: true, borderColor: c, backgroundColor: c, borderWidth: width, borderDash: dash,
      pointRadius: data.map((d) => (d.usual ? 7 : 0)), pointHitRadius: 6, pointHoverRadius: 5, tension: 0,
    };
  });
  const x = axis("CPU freed against VPA p95 + 15 %, cores"), y = axis("CPU wanted but not held, % of all wanted");
  x.min = Math.floor(-0.6 * vpa.heldCores);
  x.max = Math.ceil(Math.max(...report.strategies.flatMap((s) => s.curve.filter((p) => p.unmetShare < 0.2).map((p) => vpa.heldCores - p.heldCores))));
  y.type = "logarithmic";
  y.min = 0.01;
  y.max = 20;
  y.ticks.callback = (v) => ([0.01, 0.1, 1, 10].includes(v) ? v + " %" : "");
  return {
    type: "scatter", data: {datasets},
    options: {
      maintainAspectRatio: false, scales: {x, y}, interaction: {mode: "nearest", intersect: true},
      plugins: {
        legend: {position: "bottom", labels: {color: colour("ink"), boxWidth: 22, boxHeight: 2}},
        tooltip: {callbacks: {label: (at) => {
          const p = at.raw.p;
          return [`${at.dataset.label}: ${at.dataset.knob} ${p.knob}${at.raw.usual ? " (usual)" : ""}`,
            `holds ${cores(p.heldCores)} cores, ${percent(p.unmetShare)} unmet`];
        }}},
      },
    },
  };
}
draw(document.getElementById("tradeoff"), tradeoff);

// ---- who would have suffered ------------------------------------------------

{
  const rows = report.nodes.flatMap((n) => n.shortages.map((s) => ({...s, node: n.name})));
  rows.sort((a, b) => b.coreHours - a.coreHours);
  const all = report.nodes.reduce((sum, n) => sum + n.shortageCount, 0);
  const place = document.getElementById("shortages");
  if (rows.length === 0) {
    place.append(make("p", "Nobody: no VM would have lacked CPU in any period.", "lead"));
  } else {
    place.append(make("p", `${all} times a VM lacked CPU for one period or more` +
      (all > rows.length ? `; the ${rows.length} worst are listed.` : "."), "lead"));
    const list = make("div");
    place.append(list);
    listing(list, ["VM", "Node", "From", "For", "Missing", "Cores at once"],
      rows.map((s) => [s.vm, s.node, when(s.fromMs), lasting(s.toMs - s.fromMs), work(s.coreHours), cores(s.mostCores)]), 3, 10);
  }
}

// ---- one node ---------------------------------------------------------------

function stretch(node, series, stepMs) {
  return series.map((y, i) => ({x: node.series.beginMs + i * stepMs, y}));
}
// What only exists once judging began.
const judged = (node, series, stepMs) => stretch(node, series, stepMs).map((p) => (p.x < node.judgedFromMs ? {x: p.x, y: null} : p));

function demandChart(node) {
  return () => {
    const s = node.series, line = (label, data, c, more) => ({
      label, data: stretch(node, data, s.stepMs), borderColor: colour(c), backgroundColor: colour(c), borderWidth: 1.4, pointRadius: 0, ...more});
    const end = s.beginMs + (s.demandMost.length - 1) * s.stepMs;
    const y = axis("cores");
    y.beginAtZero = true;
    return {
      type: "line",
      data: {datasets: [
        {label: "capacity", data: [{x: s.beginMs, y: node.capacityCores}, {x: end, y: node.capacityCores}], borderColor: colour("ink"), borderDash: [6, 4], borderWidth: 1.2, pointRadius: 0},
        line("wanted, most", s.demandMost, "used", {fill: "origin", backgroundColor: colour("used") + "40"}),
        line("wanted, mean", s.demandMean, "shares"),
        line("on loan, mean", s.lent, "whorl", {borderWidth: 1.8, data: judged(node, s.lent, s.stepMs)}),
      ]},
      options: {maintainAspectRatio: false, parsing: false, normalized: true, scales: {x: timeAxis(), y}, interaction: {mode: "index", intersect: false},
        plugins: {legend: {labels: {color: colour("ink"), boxWidth: 18, boxHeight: 2}}, tooltip: {callbacks: {title: (at) => when(at[0].parsed.x)}}}},
    };
  };
}

function unmetChart(node) {
  const mine = report.strategies[0];
  const shown = [[mine.id, mine.label, "whorl"], ["vpa_p95", "VPA p95 + 15 % as limits", "vpa"], ["work_conserving", "work-conserving shares", "shares"]];
  return () => {
    const s = node.series, y = axis("cores missing");
    y.beginAtZero = true;
    return {
      type: "line",
      data: {datasets: shown.map(([id, label, c]) => ({
        label, data: judged(node, s.unmetMost[id], s.stepMs), borderColor: colour(c), borderWidth: 1.4, pointRadius: 0}))},
      options: {maintainAspectRatio: false, parsing: false, normalized: true, scales: {x: timeAxis(), y}, interaction: {mode: "index", intersect: false},
        plugins: {legend: {labels: {color: colour("ink"), boxWidth: 18, boxHeight: 2}}, tooltip: {callbacks: {title: (at) => when(at[0].parsed.x)}}}},
    };
  };
}

function vmChart(node, vm) {
  return () => {
    const s = vm.series, at = (data) => stretch(node, data, s.stepMs);
    const missing = s.used.map((u, i) => (s.missing[i] > 0.005 ? u : null));
    const x = timeAxis(), y = axis("");
    x.ticks.maxTicksLimit = 3;
    x.grid.display = false;
    y.beginAtZero = true;
    y.ticks.maxTicksLimit = 4;
    return {
      type: "line",
      data: {datasets: [
        {label: "missing at", data: at(missing), showLine: false, pointRadius: 2.2, pointBackgroundColor: colour("missing"), pointBorderWidth: 0},
        {label: "Whorl", data: at(s.whorl), borderColor: colour("whorl"), borderWidth: 1.4, pointRadius: 0, stepped: true},
        {label: "VPA", data: at(s.vpa), borderColor: colour("vpa"), borderWidth: 1, pointRadius: 0, stepped: true},
        {label: "used", data: at(s.used), borderColor: colour("used"), borderWidth: 1, fill: "origin", backgroundColor: colour("used") + "40", pointRadius: 0},
      ]},
      options: {maintainAspectRatio: false, parsing: false, normalized: true, scales: {x, y}, interaction: {mode: "index", intersect: false},
        plugins: {legend: {display: false}, tooltip: {callbacks: {title: (t) => when(t[0].parsed.x), label: (t) => `${t.dataset.label} ${cores(t.parsed.y)}`}}}},
    };
  };
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    draw(entry.target, entry.target.config);
  }
}, {rootMargin: "300px"});

function showVms(node, n) {
  const place = document.getElementById("many"), more = document.getElementById("more");
  drop((canvas) => place.contains(canvas));
  place.replaceChildren();
  for (const vm of node.vms.slice(0, n)) {
    const box = make("article", undefined, "vm"), plot = make("div"), canvas = make("canvas");
    const unmet = vm.unmetCoreHours[report.strategies[0].id], share = vm.demandCoreHours > 0 ? unmet / vm.demandCoreHours : 0;
    box.append(make("h3", vm.name));
    box.append(make("p", (vm.sizeCores === 1 ? "1 core" : `${vm.sizeCores} cores`) + (vm.requestCores ? `, asks for ${vm.requestCores}` : "") +
      (share > 0 ? `, lacks ${percent(share)}` + (vm.worst ? `, most ${when(vm.worst.atMs)}` : "") : ", lacks nothing")));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `CPU of ${vm.name}: used, allotted by Whorl, by VPA`);
    canvas.config = vmChart(node, vm);
    plot.append(canvas);
    box.append(plot);
    place.append(box);
    seen.observe(canvas);
  }
  more.hidden = n >= node.vms.length;
  more.textContent = `Show all ${node.vms.length} VMs`;
  more.onclick = () => showVms(node, node.vms.length);
}

function showLoans(node) {
  const place = document.getElementById("loan-facts"), loans = node.loans;
  place.replaceChildren();
  if (loans.count === 0) {
    place.append(make("p", "No loans: nobody needed more than its own share while somebody else needed less.", "lead"));
    return;
  }
  place.append(make("p", `${loans.count} loans, ${work(loans.coreHours)} lent.`, "lead"));
  const pairs = make("div"), largest = make("div");
  place.append(make("h3", "Who lent to whom"), pairs, make("h3", "Largest loans"), largest);
  listing(pairs, ["Lender", "Borrower", "Loans", "Lent"],
    loans.pairs.map((p) => [p.lender, p.borrower, p.loans, work(p.coreHours)]), 2, 8);
  listing(largest, ["Lender", "Borrower", "From", "For", "Cores at most", "Lent"],
    loans.largest.map((l) => [l.lender, l.borrower, when(l.fromMs), lasting(l.toMs - l.fromMs), cores(l.mostCores), work(l.coreHours)]), 3, 8);
}

function showNode(node) {
  const facts = document.getElementById("node-facts");
  facts.textContent = `${node.vms.length} VMs, ${cores(node.capacityCores)} cores` + (node.capacityAssumed ? " (assumed)" : "") +
    `, periods of ${lasting(node.stepMs)}; judged from ${when(node.judgedFromMs)}. Where a plotted point stands for several periods it shows their most or mean, as named.`;
  for (const id of ["node-demand", "node-unmet"]) drop((canvas) => canvas.id === id);
  draw(document.getElementById("node-demand"), demandChart(node));
  draw(document.getElementById("node-unmet"), unmetChart(node));
  showVms(node, MOST_SHOWN);
  showLoans(node);
}

const pick = document.getElementById("node");
const unmetOf = (n) => n.vms.reduce((sum, vm) => sum + vm.unmetCoreHours[report.strategies[0].id], 0);
const nodes = [...report.nodes].sort((a, b) => unmetOf(b) - unmetOf(a));  // the worst first
nodes.forEach((n, i) => {
  const option = make("option", n.name);
  option.value = i;
  pick.append(option);
});
pick.onchange = () => showNode(nodes[Number(pick.value)]);
showNode(nodes[0]);
