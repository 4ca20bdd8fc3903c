// Does what the Exosphere client does: asks the cloud's API through /proxy with the two fields that
// name the upstream, finds an instance in the answer, and opens it under its name at the UAP.
// config.js gives: keystone (URL), user, password, userAppProxy (host:port).

const { keystone, user, password, userAppProxy } = window.exoproxyDemo;
const $ = (id) => document.getElementById(id);

const checks = new Map([["cloud", null], ["echo", null], ["clock", null]]);

function settle(id, good) {
  checks.set(id, good);
  $(id).classList.toggle("good", good);
  $(id).classList.toggle("bad", !good);
  const outcomes = [...checks.values()];
  if (outcomes.includes(false)) $("verdict").textContent = "Something isn’t getting through.";
  else if (!outcomes.includes(null)) $("verdict").textContent = "Everything gets through.";
}

// Never rejects on a status: an OpenStack error is an answer too.
function throughProxy(url, { headers = {}, ...options } = {}) {
  const { hostname, port, pathname, search } = new URL(url);
  const upstream = { "exo-proxy-orig-host": hostname, "exo-proxy-orig-port": port || "443" };
  return fetch(`/proxy${pathname}${search}`, { ...options, headers: { ...headers, ...upstream } });
}

async function timed(label, url, options) {
  const start = performance.now();
  const response = await throughProxy(url, options);
  const body = await response.json();
  const took = performance.now() - start;
  const { pathname, search } = new URL(url);
  const timing = performance.getEntriesByName(`${location.origin}/proxy${pathname}${search}`).at(-1);
  const row = $("requests").insertRow();
  row.insertCell().textContent = label;
  row.insertCell().textContent = response.status;
  row.insertCell().textContent = `${took.toFixed(0)} ms`;
  row.insertCell().textContent = timing ? size(timing.encodedBodySize) : "";
  if (!response.ok) throw new Error(`${label}: ${response.status}`);
  return { response, body, timing };
}

const size = (bytes) => (bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} kB`);

async function cloud() {
  $("cloud-host").textContent = new URL(keystone).host;
  const credentials = { user: { name: user, domain: { id: "default" }, password } };
  const login = await timed("POST /v3/auth/tokens", `${keystone}/auth/tokens`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ auth: { identity: { methods: ["password"], password: credentials } } }),
  });
  const headers = { "X-Auth-Token": login.response.headers.get("X-Subject-Token") };
  const base = (type) => login.body.token.catalog.find((s) => s.type === type).endpoints[0].url;

  const { body } = await timed("GET /v2.1/servers/detail", `${base("compute")}/servers/detail`, { headers });
  const images = await timed("GET /v2/images", `${base("image")}/v2/images?limit=999999`, { headers });
  const { encodedBodySize: sent, decodedBodySize: full } = images.timing ?? {};
  if (sent) $("sent").textContent = size(sent);
  $("cloud-note").textContent = sent < full
    ? `sent for ${images.body.images.length} images, ${size(full)} of JSON`
    : `${images.body.images.length} images`;
  settle("cloud", true);
  return body.servers[0];
}

function behindUap(address, port) {
  return `https://http-${address.replaceAll(".", "-")}-${port}.${userAppProxy}`;
}

function echo(base) {
  const socket = new WebSocket(`${base.replace("https:", "wss:")}/echo`);
  const sent = new Map();
  const trips = [];
  const send = (text) => {
    sent.set(text, performance.now());
    socket.send(text);
  };
  socket.onopen = () => send("probe 1");
  socket.onmessage = ({ data }) => {
    const trip = performance.now() - sent.get(data);
    sent.delete(data);
    if (!data.startsWith("probe ") || trips.length >= 5) return record(data, trip);
    trips.push(trip);
    if (trips.length < 5) return send(`probe ${trips.length + 1}`);
    $("round-trip").textContent = `${trips.sort((a, b) => a - b)[2].toFixed(1)} ms`;
    settle("echo", true);
  };
  socket.onclose = () => settle("echo", false);
  $("say").onsubmit = (event) => {
    event.preventDefault();
    const text = $("message").value;
    if (text && socket.readyState === WebSocket.OPEN) send(text);
    $("message").value = "";
  };
}

function record(text, trip) {
  const item = document.createElement("li");
  item.textContent = `${text}  (${trip.toFixed(1)} ms)`;
  $("log").prepend(item);
  while ($("log").childElementCount > 5) $("log").lastElementChild.remove();
}

function clock(base) {
  const stream = new EventSource(`${base}/clock`);
  stream.onmessage = ({ data }) => {
    const then = new Date(data);
    $("time").textContent = then.toLocaleTimeString();
    $("delay").textContent = `${Math.max(0, Date.now() - then)} ms after the instance said so`;
    settle("clock", true);
  };
  stream.onerror = () => settle("clock", false);
}

$("refuse").onclick = async () => {
  const headers = { Accept: "application/json" };
  const response = await throughProxy("https://not-allowed.localhost/", { headers });
  const { error, message, hint } = (await response.json()).error;
  $("refusal").textContent = `${response.status} ${error}\n${message}\n${hint}`;
  $("refusal").hidden = false;
};

try {
  const server = await cloud();
  const address = server.addresses.demo[0].addr;
  const port = Number(server.metadata.web_port);
  const base = behindUap(address, port);
  document.querySelectorAll(".instance-host").forEach((node) => (node.textContent = `${address}:${port}`));
  $("open-instance").href = base;
  $("open-closed").href = behindUap(address, 9);
  $("open-foreign").href = behindUap("127.0.0.3", port);
  echo(base);
  clock(base);
} catch (error) {
  $("cloud-note").textContent = error.message;
  for (const id of checks.keys()) settle(id, false);
}
