// The page: asks for the books once a second, and shows them.

const POLL_MILLIS = 1000;
// The worker counts in lumps, once a second; over this many seconds they even out.
const MEAN_SECONDS = 10;
// Longer than a worker's wait after an error, so that one hiccup is not called idle.
const IDLE_SECONDS = 12;

const byId = id => document.getElementById(id);
const graph = new Graph(byId("graph"));

// What was read, oldest first: {at, hashes, coins, each, mean, found}.
let points = [];
let lastGrowth = null;

async function poll() {
  let answer;
  try {
    answer = await fetch("json", {cache: "no-store", signal: AbortSignal.timeout(5000)});
  } catch {
    return away("unreachable", "The web server is away", "Trying again every second.");
  }
  let books;
  try {
    books = await answer.json();
  } catch {
    books = {error: `the web server answered ${answer.status}`};
  }
  if (!answer.ok) {
    return away("away", "Redis is away", books.error ?? "");
  }
  add(books);
  show();
}

function add({hashes, coins, now}) {
  const point = {at: now, hashes: Number(hashes ?? 0), coins, each: null, mean: null, found: 0};
  const last = points.at(-1);
  // A count that shrank began anew: Redis was started again.
  if (last && !last.gap && point.hashes >= last.hashes && point.at > last.at) {
    const since = points.findLast(p => p.each === null || now - p.at >= MEAN_SECONDS) ?? points[0];
    const rate = from => (point.hashes - from.hashes) / (point.at - from.at);
    point.each = rate(last);
    point.mean = rate(since);
    point.found = Math.max(0, coins - last.coins);
  }
  if (!last || point.hashes !== last.hashes) lastGrowth = now;
  points.push(point);
  points = points.filter(p => now - p.at <= Graph.SECONDS);
}

function show() {
  const {at, hashes, coins, mean} = points.at(-1);
  const quiet = Math.round(at - lastGrowth);
  if (hashes === 0) {
    say("waiting", "Waiting for the first hash", "No worker has counted one yet.");
  } else if (quiet >= IDLE_SECONDS) {
    say("idle", "Idle", `No new hash for ${quiet} s: are the workers, rng and hasher running?`);
  } else {
    say("mining", "Mining", "");
  }
  figure("rate", mean, mean?.toFixed(1));
  figure("coins", coins, coins.toLocaleString("en"));
  figure("hashes", hashes, hashes.toLocaleString("en"));
  document.title = mean ? `${mean.toFixed(1)} hashes/s · DockerCoins` : "DockerCoins";
  byId("status").closest("main").classList.remove("stale");
  graph.show(points);
}

// Nothing was read: what is shown grows old, and the line in the graph ends.
function away(state, title, detail) {
  say(state, title, detail);
  document.title = `${title} · DockerCoins`;
  byId("status").closest("main").classList.add("stale");
  const last = points.at(-1);
  if (last) last.gap = true;
}

function say(state, title, detail) {
  byId("status").dataset.state = state;
  // Written only when it changes, since a screen reader reads aloud what is written.
  if (byId("state").textContent !== title) byId("state").textContent = title;
  if (byId("detail").textContent !== detail) byId("detail").textContent = detail;
}

function figure(id, value, text) {
  byId(id).textContent = text ?? "–";
  byId(id).dataset.value = value ?? "";
}

async function run() {
  for (;;) {
    const next = new Promise(resolve => setTimeout(resolve, POLL_MILLIS));
    await poll();
    await next;
  }
}

run();
