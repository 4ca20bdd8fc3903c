// Asks the deployment what a user's browser asks, and says what the answers mean.
// A check returns good(reason), bad(reason, advice) or open(reason, advice): not to be told here.

const PATIENCE = 15_000;
const LABELS = { wait: "trying", good: "works", bad: "fails", open: "not tried" };

const $ = (id) => document.getElementById(id);
const deployment = JSON.parse($("deployment").textContent);

const good = (reason) => ({ state: "good", reason });
const bad = (reason, advice = "") => ({ state: "bad", reason, advice });
const open = (reason, advice = "") => ({ state: "open", reason, advice });

function ask(url, options = {}) {
  return fetch(url, {
    cache: "no-store",
    credentials: "omit",
    redirect: "manual",
    signal: AbortSignal.timeout(PATIENCE),
    ...options,
    headers: { Accept: "application/json", ...options.headers },
  });
}

// What exoproxy itself says about a request that it did not pass on, or null.
async function refusal(response) {
  const code = response.headers.get("X-Exoproxy-Error");
  if (code === null) return null;
  const { error } = await response.json().catch(() => ({ error: {} }));
  return { code, sentence: `${response.status} ${code}: ${error?.message ?? ""}`, hint: error?.hint ?? "" };
}

const status = (response) =>
  response.type === "opaqueredirect" ? "a redirect" : `status ${response.status}`;

// The main host.

async function file(name, type) {
  const response = await ask(`/${name}`);
  const refused = await refusal(response);
  if (refused) return bad(refused.sentence, refused.hint || "Install the client: exoproxy client install.");
  const found = response.headers.get("Content-Type") ?? "no type";
  if (!response.ok) return bad(`The answer is ${status(response)}.`, "See main.client.root in the configuration.");
  if (!found.includes(type)) return bad(`It comes as ${found}.`, `It should be ${type}; see what lies in main.client.root.`);
  return good(`It comes as ${found}.`);
}

// The value as it is written: the client's own rule is that config.js sets a plain object.
async function configuredProxy() {
  const text = await (await ask("/config.js")).text();
  const found = text.match(/(?:^|[{,])\s*["']?cloudCorsProxyUrl["']?\s*:\s*(null|"[^"]*"|'[^']*')/m);
  return found && (found[1] === "null" ? null : found[1].slice(1, -1));
}

async function proxyInConfig() {
  const here = deployment.proxy;
  const url = await configuredProxy();
  if (url === null && here === null) return good("It is null, and this host has no proxy for it.");
  if (url === null) {
    return bad("It is null or missing, so browsers would ask the cloud directly, which clouds refuse.",
      `Write cloudCorsProxyUrl: "${here.path}" in config.js.`);
  }
  const { origin, pathname } = new URL(url, location.origin);
  if (origin !== location.origin) return open(`It is ${url}, another host's, which this page does not try.`);
  if (here === null) {
    return bad(`It is ${url}, but main.proxy is null here.`, "Switch the proxy on, or write null in config.js.");
  }
  if (pathname.replace(/\/$/, "").toLowerCase() !== here.path.toLowerCase()) {
    return bad(`It is ${url}, but the proxy is at ${here.path}.`, `Write cloudCorsProxyUrl: "${here.path}" in config.js.`);
  }
  return good(`It is ${url}, where this host's proxy is.`);
}

async function cloud() {
  if (deployment.proxy === null) return open("main.proxy is null: this host has none.");
  const { path, api } = deployment.proxy;
  if (api === null) {
    return open("main.proxy.allow names no single host to try.", "Log in to Exosphere to see whether the cloud is reached.");
  }
  const asked = `${api.host}:${api.port}`;
  const headers = { "exo-proxy-orig-host": api.host, "exo-proxy-orig-port": api.port };
  const response = await ask(`${path}/`, { headers });
  const refused = await refusal(response);
  if (refused) return bad(`${asked}: ${refused.sentence}`, refused.hint || "On the main host, run exoproxy check --live.");
  return good(`${asked} is reached; it answers with ${status(response)}.`);
}

// The User Application Proxies.

// A browser does not tell a script why a connection failed; whether one can be made at all, it does.
async function reach(url) {
  try {
    return { response: await ask(url) };
  } catch {
    try {
      await ask(url, { mode: "no-cors", redirect: "follow" });
      return { hidden: true };
    } catch {
      return {};
    }
  }
}

function unreached({ hidden }, host) {
  if (hidden) {
    return bad("The certificate is good, but the answer is withheld from this page.",
      `List ${location.origin} under uap.allowed_origins on the UAP's host.`);
  }
  return bad("No connection: no address in the DNS, nobody there, or a certificate that your browser does not trust.",
    `Open https://${host}/ in a tab: your browser says there which it is.`);
}

async function bareName({ authority }) {
  const found = await reach(`https://${authority}/`);
  if (!found.response) return unreached(found, authority);
  const refused = await refusal(found.response);
  if (refused) return bad(refused.sentence, refused.hint);
  if (!(await found.response.text()).includes("User Application Proxy")) {
    return bad("Another server answers at this name.", "See that the DNS leads to the UAP's host.");
  }
  return good("The certificate is trusted, and the UAP answers.");
}

async function wildcard({ authority }) {
  const host = `self-test.${authority}`;
  const found = await reach(`https://${host}/`);
  if (!found.response) return unreached(found, host);
  const refused = await refusal(found.response);
  // That name is no instance's, and only the UAP of the region can know that.
  if (refused?.code === "no-instance-name") {
    return good("The certificate covers the names of instances, and the UAP answers to them.");
  }
  if (refused) return bad(refused.sentence, refused.hint);
  return bad("Another server answers to the names of instances.", `See that the DNS leads *.${authority} to the UAP's host.`);
}

// A websocket to an instance.

function connect(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    const end = (opened) => {
      clearTimeout(timer);
      resolve(opened);
      socket.close();
    };
    const timer = setTimeout(() => end(false), PATIENCE);
    socket.onopen = () => end(true);
    socket.onerror = () => end(false);
  });
}

async function websocket(host, path) {
  const start = performance.now();
  if (await connect(`wss://${host}${path}`)) {
    return good(`It opened within ${(performance.now() - start).toFixed(0)} ms.`);
  }
  // A browser keeps the answer to a failed websocket from scripts: it is asked for again without one.
  const found = await reach(`https://${host}${path}`);
  if (!found.response) return unreached(found, host);
  const refused = await refusal(found.response);
  if (refused) return bad(refused.sentence, refused.hint);
  found.response.body?.cancel();
  return bad(`The instance answers with ${status(found.response)}, but no websocket opens at ${path}.`,
    "Name the path at which the application speaks websockets. If it is right, see whether something between you and the UAP stops them.");
}

// What is shown.

function line(list, title) {
  const item = document.createElement("li");
  for (const [tag, name] of [["span", "state"], ["h3", "title"], ["p", "reason"], ["p", "advice"]]) {
    item.append(Object.assign(document.createElement(tag), { className: name }));
  }
  item.querySelector(".title").textContent = title;
  list.append(item);
  show(item, { state: "wait", reason: "" });
  return item;
}

function show(item, { state, reason, advice = "" }) {
  item.className = `check ${state}`;
  item.querySelector(".state").textContent = LABELS[state];
  item.querySelector(".reason").textContent = reason;
  item.querySelector(".advice").textContent = advice;
}

async function settle(item, check) {
  let outcome;
  try {
    outcome = await check();
  } catch (error) {
    outcome = error.name === "TimeoutError"
      ? bad(`No answer within ${PATIENCE / 1000} s.`)
      : bad("The connection failed.", "See whether this page still loads.");
  }
  show(item, outcome);
  return outcome.state;
}

async function tryAll() {
  $("again").disabled = true;
  $("verdict").textContent = "Trying the deployment…";
  $("main-checks").replaceChildren();
  $("uap-checks").replaceChildren();
  const checks = [
    ["main-checks", "The client's page, index.html", () => file("index.html", "text/html")],
    ["main-checks", "Its configuration, config.js", () => file("config.js", "javascript")],
    ["main-checks", "cloudCorsProxyUrl in config.js", proxyInConfig],
    ["main-checks", "The cloud's API through the Cloud CORS Proxy", cloud],
    ...deployment.regions.flatMap((region) => [
      ["uap-checks", `${region.name}: ${region.authority}`, () => bareName(region)],
      ["uap-checks", `${region.name}: *.${region.authority}`, () => wildcard(region)],
    ]),
  ];
  if (deployment.regions.length === 0) {
    const none = () => open("This host's configuration has no uap.regions.", "Copy that part of the UAP host's file here to try it.");
    checks.push(["uap-checks", "No region is known here", none]);
  }
  const states = await Promise.all(checks.map(([list, title, check]) => settle(line($(list), title), check)));
  const failed = states.filter((state) => state === "bad").length;
  $("verdict").textContent = failed === 0 ? "What was tried works."
    : failed === 1 ? "One thing does not work." : `${failed} things do not work.`;
  $("again").disabled = false;
}

for (const { name, authority } of deployment.regions) $("region").add(new Option(name, authority));
$("instance-section").hidden = deployment.regions.length === 0;

$("websocket").onsubmit = (event) => {
  event.preventDefault();
  const label = `${$("scheme").value}-${$("address").value.trim().replace(/[.:]/g, "-")}-${$("port").value}`;
  // What is no name would else lead elsewhere.
  const host = /^[0-9a-z-]+$/i.test(label) ? `${label}.${$("region").value}` : null;
  $("instance-checks").replaceChildren();
  const item = line($("instance-checks"), host === null ? "No address" : `wss://${host}${$("path").value}`);
  const wrong = () => bad("That is no address.", "Write it as 192.0.2.10 or 2001:db8::10.");
  settle(item, host === null ? wrong : () => websocket(host, $("path").value));
};
$("again").onclick = tryAll;
tryAll();
